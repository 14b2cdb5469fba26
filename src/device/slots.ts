import type { KvLayout } from '../core/kv-layout.js';
import { InternalError } from '../errors.js';
import type { Value } from '../ort/value.js';
import type { KvSlot } from './device.js';

/** K/V of one sequence, and where its device has it. */
export class Slot<At> implements KvSlot {
  constructor(
    readonly owner: Slots<At>,
    readonly capacityTokens: number,
    readonly at: At,
  ) {}
}

/** The slots of one device: one for each of its rows, and loose ones. What is of another device, or lies beyond a slot's end, gets no further. */
export class Slots<At> {
  private rows: readonly Slot<At>[];
  private closed = false;

  constructor(
    private readonly layout: KvLayout,
    private readonly capacityTokens: number,
    rows: readonly At[],
  ) {
    this.rows = rows.map((at) => new Slot(this, capacityTokens, at));
  }

  /** Throws `InternalError` where the device has no such row. */
  row(row: number): Slot<At> {
    const slot = this.rows[row];
    if (slot === undefined) throw new InternalError(`row ${row} was asked for; there are ${this.rows.length}`);
    return slot;
  }

  /** Over the K/V tensors of a graph that hands them on. Throws `InternalError` if they are not `[1, kvHeads, tokens, headDim]`, all alike. */
  loose(values: readonly Value[], at: At): Slot<At> {
    const { layers, kvHeads, headDim, elementType } = this.layout;
    const tokens = values[0]?.shape[2] ?? 0;
    const shape = [1, kvHeads, tokens, headDim];
    const fits = values.every((value) => value.elementType === elementType && String(value.shape) === String(shape));
    if (!fits || values.length !== 2 * layers) {
      throw new InternalError(
        `a loose slot needs ${2 * layers} tensors ${elementType}[1,${kvHeads},tokens,${headDim}], not ${values.map((value) => `${value.elementType}[${value.shape}]`)}`,
      );
    }
    return new Slot(this, tokens, at);
  }

  /** The slot as one of this device's, with room for so many blocks at `position`. Throws `InternalError` if it is none. */
  withRoom(slot: KvSlot, position: number, blocks: number): Slot<At> {
    if (!(slot instanceof Slot) || slot.owner !== this) throw new InternalError('a slot is of another device');
    if (this.closed) throw new InternalError('a slot was used after its device was closed');
    const end = position + blocks * this.layout.blockTokens;
    if (!(Number.isSafeInteger(position) && position >= 0 && end <= slot.capacityTokens)) {
      throw new InternalError(`tokens ${position} to ${end} do not lie in a slot of ${slot.capacityTokens} tokens`);
    }
    return slot;
  }

  /** Two rows, of which the first `tokens` tokens are to be moved. Throws `InternalError` where there are not so many. */
  pair(from: number, to: number, tokens: number): [Slot<At>, Slot<At>] {
    const rows: [Slot<At>, Slot<At>] = [this.row(from), this.row(to)];
    if (!(tokens >= 0 && tokens <= this.capacityTokens)) {
      throw new InternalError(`${tokens} tokens of a row were to be moved; it has ${this.capacityTokens}`);
    }
    return rows;
  }

  close(): void {
    this.closed = true;
    this.rows = [];
  }
}
