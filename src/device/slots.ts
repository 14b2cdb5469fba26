import { headShapes, type KvLayout } from '../core/kv-layout.js';
import { InternalError } from '../errors.js';
import type { Value } from '../ort/value.js';
import type { KvSlot } from './device.js';

/** The slots of a device, and the checks of slots that callers pass back. */

/** A slot with its memory in the device's own terms. */
export class Slot<At> implements KvSlot {
  constructor(
    readonly owner: Slots<At>,
    readonly capacityTokens: number,
    readonly at: At,
  ) {}
}

/** The slots of one device: one per row, and loose slots on demand. All methods throw `InternalError` for wrong arguments. */
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

  /** The slot in a row. */
  row(row: number): Slot<At> {
    const slot = this.rows[row];
    if (slot === undefined) throw new InternalError(`there is no row ${row}: the device has ${this.rows.length} rows`);
    return slot;
  }

  /** A loose slot over K/V, each `[1, kvHeads, tokens, headDim]`, and the states of layers without K/V. */
  loose(values: readonly Value[], at: At): Slot<At> {
    const { kvHeads, headDim, elementType, states = [] } = this.layout;
    const tokens = values[0]?.shape[2] ?? 0;
    const expected = [
      ...headShapes(this.layout).map((shape) => `${elementType}[1,${shape.kvHeads},${tokens},${shape.headDim}]`),
      ...states.map((state) => `${state.elementType}[1,${state.dims}]`),
    ];
    const given = values.map((value) => `${value.elementType}[${value.shape}]`);
    if (given.join() !== expected.join()) {
      throw new InternalError(
        `a loose slot needs ${expected.length} tensors such as ${elementType}[1,${kvHeads},tokens,${headDim}], not ${given}`,
      );
    }
    return new Slot(this, tokens, at);
  }

  /** The slot as one of this device, after a check that `blocks` blocks fit into it from `position` on. */
  withRoom(slot: KvSlot, position: number, blocks: number): Slot<At> {
    if (!(slot instanceof Slot) || slot.owner !== this) throw new InternalError('a slot belongs to another device');
    if (this.closed) throw new InternalError('a slot was used after its device was closed');
    const end = position + blocks * this.layout.blockTokens;
    if (!(Number.isSafeInteger(position) && position >= 0 && end <= slot.capacityTokens)) {
      throw new InternalError(`tokens ${position} to ${end} do not lie in a slot of ${slot.capacityTokens} tokens`);
    }
    return slot;
  }

  /** The slots in two rows, after a check that they have room for `tokens` tokens. */
  pair(from: number, to: number, tokens: number): [Slot<At>, Slot<At>] {
    const rows: [Slot<At>, Slot<At>] = [this.row(from), this.row(to)];
    if (!(tokens >= 0 && tokens <= this.capacityTokens)) {
      throw new InternalError(`cannot move ${tokens} tokens of a row: a row has ${this.capacityTokens} tokens`);
    }
    return rows;
  }

  close(): void {
    this.closed = true;
    this.rows = [];
  }
}
