import type { Regime } from '../core/kv-dependence.js';
import type { Device, DeviceBlock } from '../device/device.js';
import { InternalError } from '../errors.js';
import type { Binding } from '../ort/binding.js';
import { RunOptions } from '../ort/run-options.js';
import { bindAdapter, type LoadedAdapter } from './adapters.js';
import type { GraphRunner, LogitRows, SequenceSlot, Verifier } from './graph-runner.js';
import type { ModelGraph } from './model-graph.js';
import { RestingBlocks } from './resting-blocks.js';
import { movesToFill, movesToFree, type RowMove, rowFor } from './row-groups.js';
import { RunFeed, type RunShape } from './run-feed.js';
import { whyNotGuessed } from './speculation.js';

/** Runs a graph that appends K/V in place, in rows of the device's buffers, as one batch. */

interface RowSlot extends SequenceSlot {
  row: number;
  tokens: number;
  /** Equal for slots that may run as one batch. */
  readonly kind: string;
}

/**
 * Runs a graph that appends to K/V in the device's rows.
 *
 * Invariant: the n decoding slots are in rows `[0, n)`, in the order of `decoding`, and run as one batch over a view of these rows, or as
 * several batches of adjacent rows if they must not run together; the prefilling slot, if any, is in a row >= n. A slot is acquired in the device's prefill row if it has one, else in row n. If decoding slots
 * are released meanwhile, the prefilling slot stays where it is, and moves to row n when it starts decoding. When a decoding slot is
 * released, the last one of each kind after it moves, so that the rows of a kind stay adjacent.
 *
 * Where a graph takes adapters, one row is never acquired. It makes room for a new row next to the rows of its kind.
 *
 * A row's contents stay there until they are overwritten. A prompt whose first blocks rest in a free row is prefilled in that row.
 */
export class InPlaceRunner implements GraphRunner, Verifier {
  readonly verifier: Verifier | null;
  private readonly graph: ModelGraph;
  private readonly device: Device;
  private readonly feed: RunFeed;
  private readonly runOptions: RunOptions;
  /** Whether each sequence runs alone, because the numbers of a run depend on all of its tokens or rows. */
  private readonly alone: boolean;
  private readonly bindings = new Map<LoadedAdapter | null, Map<number, Binding>>();
  private readonly decoding: RowSlot[] = [];
  private readonly resting: RestingBlocks;
  private prefilling: RowSlot | null = null;
  private interruptible = false;

  /**
   * @param chunkTokens the maximum number of tokens of one `prefill`
   * @param rows whether decoding sequences run together, where the graph's dependence allows it
   */
  constructor(graph: ModelGraph, device: Device, chunkTokens: number, rows: 'together' | 'alone' = 'together') {
    this.graph = graph;
    this.device = device;
    const { slots } = device;
    this.alone = rows === 'alone' || graph.dependence.kind === 'run' || graph.dependence.kind === 'length';
    this.feed = new RunFeed(graph, device, Math.max(chunkTokens, slots), slots * device.slot(0).capacityTokens, slots);
    this.runOptions = new RunOptions(graph.runtime);
    this.verifier = whyNotGuessed(graph) === null ? this : null;
    this.resting = new RestingBlocks(Math.max(slots, (device.prefillRow ?? 0) + 1), device.layout.blockTokens);
  }

  get capacity(): number {
    // Batches of other rows than the first ones need views that start there.
    const splits = this.alone || this.graph.dependence.kind !== 'prefix' || this.graph.loraInputs.length > 0;
    if (splits && this.device.prefillRow !== null) return 1;
    return this.device.slots - (this.hasSpareRow ? 1 : 0);
  }

  private get hasSpareRow(): boolean {
    return this.graph.loraInputs.length > 0 && this.device.prefillRow === null && this.device.slots > 1;
  }

  get acquired(): number {
    return this.decoding.length + (this.prefilling === null ? 0 : 1);
  }

  acquire(regime: Regime, adapter: LoadedAdapter | null = null): SequenceSlot {
    if (this.prefilling !== null || this.acquired >= this.capacity) {
      throw new InternalError(`cannot acquire a slot: ${this.acquired} of ${this.capacity} are in use`);
    }
    const row = this.device.prefillRow ?? this.decoding.length;
    this.prefilling = { row, tokens: 0, regime, adapter, kind: `${regime} ${adapter?.fingerprint ?? ''}` };
    return this.prefilling;
  }

  async join(slot: SequenceSlot, blocks: readonly DeviceBlock[]): Promise<void> {
    const own = this.own(slot);
    const { blockTokens } = this.device.layout;
    if (own === this.prefilling && own.tokens === 0) own.row = this.restingRow(blocks, own.row);
    const there = own.tokens === 0 ? this.resting.common(own.row, blocks) : 0;
    const from = own.tokens + there * blockTokens;
    const missing = blocks.slice(there);
    this.resting.truncate(own.row, from);
    if (missing.length > 0) await this.device.join(this.device.slot(own.row), from, missing);
    for (const [i, block] of missing.entries()) this.resting.has(own.row, from + i * blockTokens, block);
    own.tokens += blocks.length * blockTokens;
  }

  /** The free row in which most of these blocks rest; `row` if none has more of them. */
  private restingRow(blocks: readonly DeviceBlock[], row: number): number {
    if (this.device.prefillRow !== null) return row;
    let best = row;
    for (let other = this.decoding.length; other < this.device.slots; other++) {
      if (this.resting.common(other, blocks) > this.resting.common(best, blocks)) best = other;
    }
    return best;
  }

  async prefill(slot: SequenceSlot, ids: Uint32Array, keep: number): Promise<LogitRows> {
    const own = this.own(slot);
    if (this.runOptions.terminated) this.runOptions.reset();
    this.resting.truncate(own.row, own.tokens);
    this.interruptible = true;
    try {
      const logits = await this.run(
        own.row,
        1,
        { ids, pasts: [own.tokens], keep, regime: own.regime },
        own.adapter,
        this.runOptions,
      );
      own.tokens += ids.length;
      return logits;
    } finally {
      this.interruptible = false;
    }
  }

  interrupt(): void {
    if (this.interruptible) this.runOptions.terminate();
  }

  async startDecoding(slot: SequenceSlot): Promise<void> {
    const own = this.own(slot);
    const end = this.decoding.length;
    if (own !== this.prefilling || own.row < end) {
      throw new InternalError('cannot start decoding a slot: the slot is not prefilling');
    }
    const place = this.hasSpareRow ? rowFor(this.kinds(), own.kind) : end;
    if (place < end && own.row === end) {
      await this.copyRow(end, end + 1, own.tokens);
      own.row = end + 1;
    }
    for (const move of movesToFree(this.kinds(), place)) await this.moveDecoding(move);
    if (own.row !== place) await this.copyRow(own.row, place, own.tokens);
    own.row = place;
    this.prefilling = null;
    this.decoding[place] = own;
  }

  private kinds(): string[] {
    return this.decoding.map(({ kind }) => kind);
  }

  /** Moves a decoding slot to a row whose slot, if any, has moved already or was released. */
  private async moveDecoding({ from, to }: RowMove): Promise<void> {
    const slot = this.decoding[from]!;
    await this.copyRow(from, to, slot.tokens);
    slot.row = to;
    this.decoding[to] = slot;
  }

  batches(): readonly (readonly SequenceSlot[])[] {
    const batches: RowSlot[][] = [];
    for (const slot of this.decoding) {
      const last = batches.at(-1);
      if (last !== undefined && !this.alone && last[0]!.kind === slot.kind) last.push(slot);
      else batches.push([slot]);
    }
    return batches;
  }

  async decode(batch: readonly SequenceSlot[], ids: readonly number[]): Promise<LogitRows> {
    const first = (batch[0] as RowSlot).row;
    const slots = this.decoding.slice(first, first + batch.length);
    if (batch.length !== slots.length || batch.some((slot, i) => slot !== slots[i])) {
      throw new InternalError('cannot decode a batch: it is not decoding slots in the order of their rows');
    }
    const pasts = slots.map(({ tokens }) => tokens);
    const { regime, adapter } = slots[0]!;
    const logits = await this.run(first, batch.length, { ids, pasts, keep: 1, regime }, adapter);
    for (const slot of slots) slot.tokens += 1;
    return logits;
  }

  /** Writes K/V behind the slot's tokens, as a decode step does: the next run overwrites what is not accepted. */
  verify(slot: SequenceSlot, ids: Uint32Array): Promise<LogitRows> {
    const { row, tokens, regime, adapter } = this.own(slot);
    return this.run(row, 1, { ids, pasts: [tokens], keep: ids.length, regime }, adapter);
  }

  accept(slot: SequenceSlot, tokens: number): void {
    this.own(slot).tokens += tokens;
  }

  async cut(slot: SequenceSlot, position: number, block: DeviceBlock): Promise<void> {
    const { row } = this.own(slot);
    await this.device.cut(this.device.slot(row), position, block);
    this.resting.has(row, position, block);
  }

  async release(slot: SequenceSlot): Promise<void> {
    const own = this.own(slot);
    if (own === this.prefilling) {
      this.prefilling = null;
      return;
    }
    for (const move of movesToFill(this.kinds(), own.row)) await this.moveDecoding(move);
    this.decoding.length -= 1;
  }

  forget(adapter: LoadedAdapter): void {
    for (const binding of this.bindings.get(adapter)?.values() ?? []) binding.release();
    this.bindings.delete(adapter);
  }

  releaseAll(): void {
    this.prefilling = null;
    this.decoding.length = 0;
    this.resting.clear();
  }

  private async copyRow(from: number, to: number, tokens: number): Promise<void> {
    this.resting.truncate(to, 0);
    await this.device.moveRow(from, to, tokens);
    this.resting.copied(from, to, tokens);
  }

  close(): void {
    for (const bindings of this.bindings.values()) for (const binding of bindings.values()) binding.release();
    this.bindings.clear();
    this.feed.release();
    this.runOptions.release();
  }

  private run(
    first: number,
    count: number,
    shape: RunShape,
    adapter: LoadedAdapter | null,
    options?: RunOptions,
  ): Promise<LogitRows> {
    const { session } = this.graph;
    return session.exclusive(async () => {
      const binding = this.bindingOf(first, count, adapter);
      const logits = this.feed.bind(binding, shape);
      await session.run(binding, options);
      return logits;
    });
  }

  /** The slot as one of this runner's. Throws `InternalError` if it is not where the invariant puts it. */
  private own(slot: SequenceSlot): RowSlot {
    if (slot === this.prefilling) return this.prefilling;
    const own = this.decoding[(slot as RowSlot).row];
    if (own === undefined || own !== slot) throw new InternalError('a slot was used after its release');
    return own;
  }

  /** The binding of K/V in `count` rows from `first` on, as past and present alike, and of an adapter. Each is made once. */
  private bindingOf(first: number, count: number, adapter: LoadedAdapter | null): Binding {
    const bindings = this.bindings.get(adapter) ?? new Map<number, Binding>();
    this.bindings.set(adapter, bindings);
    const id = first * (this.device.slots + 2) + count;
    const known = bindings.get(id);
    if (known !== undefined) return known;
    const binding = this.graph.session.createBinding();
    const { past, present } = this.graph.names;
    this.device.rows(first, count).forEach((value, i) => {
      binding.bindInput(past[i]!, value);
      binding.bindOutput(present[i]!, value);
    });
    if (adapter !== null) bindAdapter(binding, adapter);
    bindings.set(id, binding);
    return binding;
  }
}
