import type { Device, DeviceBlock } from '../device/device.js';
import { InternalError } from '../errors.js';
import type { Binding } from '../ort/binding.js';
import { RunOptions } from '../ort/run-options.js';
import type { GraphRunner, Lane, LogitRows } from './graph-runner.js';
import type { ModelGraph } from './model-graph.js';
import { RunFeed, type RunShape } from './run-feed.js';

interface Row extends Lane {
  row: number;
  tokens: number;
}

/**
 * Runs a graph that appends to K/V in the device's rows.
 *
 * Invariant: the n lanes that decode have the rows `[0, n)`, in the order of `#decoding`, and are run as one batch over a view of these
 * rows; the lane that prefills, if there is one, has a row >= n. A lane begins in the device's prefill row, or else in row n; when others end
 * meanwhile it stays where it is, and moves to row n when it begins to decode. When a decoding lane ends, the last one moves into its row.
 */
export class InPlaceRunner implements GraphRunner {
  private readonly graph: ModelGraph;
  private readonly device: Device;
  private readonly feed: RunFeed;
  private readonly runOptions: RunOptions;
  private readonly bindings = new Map<number, Binding>();
  private readonly decoding: Row[] = [];
  private prefilling: Row | null = null;
  private interruptible = false;

  /** @param chunkTokens the most tokens that `prefill` is given */
  constructor(graph: ModelGraph, device: Device, chunkTokens: number) {
    this.graph = graph;
    this.device = device;
    const { slots } = device;
    this.feed = new RunFeed(graph, device, Math.max(chunkTokens, slots), slots * device.slot(0).capacityTokens, slots);
    this.runOptions = new RunOptions(graph.runtime);
  }

  get capacity(): number {
    return this.device.slots;
  }

  get open(): number {
    return this.decoding.length + (this.prefilling === null ? 0 : 1);
  }

  start(): Lane {
    if (this.prefilling !== null || this.open >= this.capacity) {
      throw new InternalError(`no row for a sequence: ${this.open} of ${this.capacity} are taken`);
    }
    this.prefilling = { row: this.device.prefillRow ?? this.decoding.length, tokens: 0 };
    return this.prefilling;
  }

  async join(lane: Lane, blocks: readonly DeviceBlock[]): Promise<void> {
    const row = this.own(lane);
    await this.device.join(this.device.slot(row.row), row.tokens, blocks);
    row.tokens += blocks.length * this.device.layout.blockTokens;
  }

  async prefill(lane: Lane, ids: Uint32Array, keep: number): Promise<LogitRows> {
    const row = this.own(lane);
    if (this.runOptions.terminated) this.runOptions.reset();
    this.interruptible = true;
    try {
      const logits = await this.run(row.row, 1, { ids, pasts: [row.tokens], keep }, this.runOptions);
      row.tokens += ids.length;
      return logits;
    } finally {
      this.interruptible = false;
    }
  }

  interrupt(): void {
    if (this.interruptible) this.runOptions.terminate();
  }

  async promote(lane: Lane): Promise<void> {
    const row = this.own(lane);
    const end = this.decoding.length;
    if (row !== this.prefilling || row.row < end) throw new InternalError('a lane that does not prefill was promoted');
    if (row.row !== end) await this.device.moveRow(row.row, end, row.tokens);
    row.row = end;
    this.prefilling = null;
    this.decoding.push(row);
  }

  batches(): readonly (readonly Lane[])[] {
    return this.decoding.length === 0 ? [] : [[...this.decoding]];
  }

  async decode(batch: readonly Lane[], ids: readonly number[]): Promise<LogitRows> {
    if (batch.length !== this.decoding.length || batch.some((lane, row) => lane !== this.decoding[row])) {
      throw new InternalError('a decode step was asked for a batch that is not the rows as they are');
    }
    const pasts = this.decoding.map(({ tokens }) => tokens);
    const logits = await this.run(0, batch.length, { ids, pasts, keep: 1 });
    for (const row of this.decoding) row.tokens += 1;
    return logits;
  }

  async cut(lane: Lane, position: number, block: DeviceBlock): Promise<void> {
    await this.device.cut(this.device.slot(this.own(lane).row), position, block);
  }

  async close(lane: Lane): Promise<void> {
    const row = this.own(lane);
    if (row === this.prefilling) {
      this.prefilling = null;
      return;
    }
    const last = this.decoding.pop()!;
    if (last === row) return;
    await this.device.moveRow(last.row, row.row, last.tokens);
    last.row = row.row;
    this.decoding[row.row] = last;
  }

  closeAll(): void {
    this.prefilling = null;
    this.decoding.length = 0;
  }

  release(): void {
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

  /** The lane's row, which must be where the invariant has it. */
  private own(lane: Lane): Row {
    if (lane === this.prefilling) return this.prefilling;
    const row = this.decoding[(lane as Row).row];
    if (row === undefined || row !== lane) throw new InternalError('a lane was used that is closed');
    return row;
  }

  /** K/V of `count` rows from `first` on, past and present alike, bound once: at most two bindings a row. */
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
