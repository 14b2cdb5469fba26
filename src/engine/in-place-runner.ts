import type { Regime } from '../core/kv-dependence.js';
import type { Device, DeviceBlock } from '../device/device.js';
import { InternalError } from '../errors.js';
import type { Binding } from '../ort/binding.js';
import { RunOptions } from '../ort/run-options.js';
import type { GraphRunner, LogitRows, SequenceSlot } from './graph-runner.js';
import type { ModelGraph } from './model-graph.js';
import { RestingBlocks } from './resting-blocks.js';
import { RunFeed, type RunShape } from './run-feed.js';

/** Runs a graph that appends K/V in place, in rows of the device's buffers, as one batch. */

interface RowSlot extends SequenceSlot {
  row: number;
  tokens: number;
}

/**
 * Runs a graph that appends to K/V in the device's rows.
 *
 * Invariant: the n decoding slots are in rows `[0, n)`, in the order of `decoding`, and run as one batch over a view of these rows, or as
 * several batches of adjacent rows if they must not run together; the prefilling slot, if any, is in a row >= n. A slot is acquired in the device's prefill row if it has one, else in row n. If decoding slots
 * are released meanwhile, the prefilling slot stays where it is, and moves to row n when it starts decoding. When a decoding slot is
 * released, the last one moves into its row.
 *
 * What a row has stays there until it is overwritten. A prompt whose first blocks rest in a free row is prefilled in that row.
 */
export class InPlaceRunner implements GraphRunner {
  private readonly graph: ModelGraph;
  private readonly device: Device;
  private readonly feed: RunFeed;
  private readonly runOptions: RunOptions;
  /** Whether each sequence runs alone, because the numbers of a run depend on all of its tokens or rows. */
  private readonly alone: boolean;
  private readonly bindings = new Map<number, Binding>();
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
    this.resting = new RestingBlocks(Math.max(slots, (device.prefillRow ?? 0) + 1), device.layout.blockTokens);
  }

  get capacity(): number {
    // Batches of other rows than the first ones need views that start there.
    const splits = this.alone || this.graph.dependence.kind !== 'prefix';
    return splits && this.device.prefillRow !== null ? 1 : this.device.slots;
  }

  get acquired(): number {
    return this.decoding.length + (this.prefilling === null ? 0 : 1);
  }

  acquire(regime: Regime): SequenceSlot {
    if (this.prefilling !== null || this.acquired >= this.capacity) {
      throw new InternalError(`cannot acquire a slot: ${this.acquired} of ${this.capacity} are in use`);
    }
    this.prefilling = { row: this.device.prefillRow ?? this.decoding.length, tokens: 0, regime };
    return this.prefilling;
  }

  async join(slot: SequenceSlot, blocks: readonly DeviceBlock[]): Promise<void> {
    const own = this.own(slot);
    const { blockTokens } = this.device.layout;
    if (own === this.prefilling && own.tokens === 0) own.row = this.rowFor(blocks, own.row);
    const there = own.tokens === 0 ? this.resting.common(own.row, blocks) : 0;
    const from = own.tokens + there * blockTokens;
    const missing = blocks.slice(there);
    this.resting.truncate(own.row, from);
    if (missing.length > 0) await this.device.join(this.device.slot(own.row), from, missing);
    for (const [i, block] of missing.entries()) this.resting.has(own.row, from + i * blockTokens, block);
    own.tokens += blocks.length * blockTokens;
  }

  /** The free row in which most of these blocks rest; `row` if none has more of them. */
  private rowFor(blocks: readonly DeviceBlock[], row: number): number {
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
    if (own.row !== end) await this.copyRow(own.row, end, own.tokens);
    own.row = end;
    this.prefilling = null;
    this.decoding.push(own);
  }

  batches(): readonly (readonly SequenceSlot[])[] {
    const batches: RowSlot[][] = [];
    for (const slot of this.decoding) {
      const last = batches.at(-1);
      if (last !== undefined && !this.alone && last[0]!.regime === slot.regime) last.push(slot);
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
    const logits = await this.run(first, batch.length, { ids, pasts, keep: 1, regime: slots[0]!.regime });
    for (const slot of slots) slot.tokens += 1;
    return logits;
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
    const last = this.decoding.pop()!;
    if (last === own) return;
    await this.copyRow(last.row, own.row, last.tokens);
    last.row = own.row;
    this.decoding[own.row] = last;
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
    for (const binding of this.bindings.values()) binding.release();
    this.bindings.clear();
    this.feed.release();
    this.runOptions.release();
  }

  private run(first: number, count: number, shape: RunShape, options?: RunOptions): Promise<LogitRows> {
    const { session } = this.graph;
    return session.exclusive(async () => {
      const binding = this.bindingOf(first, count);
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

  /** The binding of K/V in `count` rows from `first` on, as past and present alike. Each is made once; there are at most two per row. */
  private bindingOf(first: number, count: number): Binding {
    const id = first * (this.capacity + 1) + count;
    const known = this.bindings.get(id);
    if (known !== undefined) return known;
    const binding = this.graph.session.createBinding();
    const { past, present } = this.graph.names;
    this.device.rows(first, count).forEach((value, i) => {
      binding.bindInput(past[i]!, value);
      binding.bindOutput(present[i]!, value);
    });
    this.bindings.set(id, binding);
    return binding;
  }
}
