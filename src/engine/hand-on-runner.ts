import type { Device, DeviceBlock } from '../device/device.js';
import { InternalError } from '../errors.js';
import { RunOptions } from '../ort/run-options.js';
import type { Value } from '../ort/value.js';
import type { GraphRunner, Lane, LogitRows } from './graph-runner.js';
import type { ModelGraph } from './model-graph.js';
import { RunFeed } from './run-feed.js';

interface HandedLane extends Lane {
  tokens: number;
  /** K0, V0, K1, ... `[1, kvHeads, tokens, headDim]` each; none until the first run or join. */
  past: readonly Value[];
}

/** Runs a graph that joins past and new K/V itself: what a run makes is the past of the next one, and each lane runs alone. */
export class HandOnRunner implements GraphRunner {
  private readonly graph: ModelGraph;
  private readonly device: Device;
  private readonly feed: RunFeed;
  private readonly runOptions: RunOptions;
  private readonly lanes = new Set<HandedLane>();
  private prefilling: HandedLane | null = null;
  private interruptible = false;

  /** @param chunkTokens the most tokens that `prefill` is given */
  constructor(graph: ModelGraph, device: Device, chunkTokens: number) {
    this.graph = graph;
    this.device = device;
    this.feed = new RunFeed(graph, device, chunkTokens, graph.contextTokens, 1);
    this.runOptions = new RunOptions(graph.runtime);
  }

  get capacity(): number {
    return this.device.slots;
  }

  get open(): number {
    return this.lanes.size;
  }

  start(): Lane {
    if (this.prefilling !== null || this.open >= this.capacity) {
      throw new InternalError(`no place for a sequence: ${this.open} of ${this.capacity} are taken`);
    }
    const lane: HandedLane = { tokens: 0, past: [] };
    this.lanes.add(lane);
    this.prefilling = lane;
    return lane;
  }

  async join(lane: Lane, blocks: readonly DeviceBlock[]): Promise<void> {
    const own = this.own(lane);
    if (own.tokens !== 0) throw new InternalError('blocks were joined to a lane that is not fresh');
    if (blocks.length === 0) return;
    const tokens = blocks.length * this.graph.layout.blockTokens;
    const past = await this.device.looseTensors(tokens);
    try {
      await this.device.join(this.device.looseSlot(past), 0, blocks);
    } catch (error) {
      releaseAll(past);
      throw error;
    }
    this.replace(own, past, tokens);
  }

  async prefill(lane: Lane, ids: Uint32Array, keep: number): Promise<LogitRows> {
    if (this.runOptions.terminated) this.runOptions.reset();
    this.interruptible = true;
    try {
      return await this.run(this.own(lane), ids, keep, this.runOptions);
    } finally {
      this.interruptible = false;
    }
  }

  interrupt(): void {
    if (this.interruptible) this.runOptions.terminate();
  }

  async promote(lane: Lane): Promise<void> {
    if (lane !== this.prefilling) throw new InternalError('a lane that does not prefill was promoted');
    this.prefilling = null;
  }

  batches(): readonly (readonly Lane[])[] {
    return [...this.lanes].filter((lane) => lane !== this.prefilling).map((lane) => [lane]);
  }

  async decode(batch: readonly Lane[], ids: readonly number[]): Promise<LogitRows> {
    if (batch.length !== 1)
      throw new InternalError(`${batch.length} sequences in a step of a graph that runs them alone`);
    return this.run(this.own(batch[0]!), ids, 1);
  }

  async cut(lane: Lane, position: number, block: DeviceBlock): Promise<void> {
    await this.device.cut(this.device.looseSlot(this.own(lane).past), position, block);
  }

  async close(lane: Lane): Promise<void> {
    const own = this.own(lane);
    releaseAll(own.past);
    this.lanes.delete(own);
    if (own === this.prefilling) this.prefilling = null;
  }

  closeAll(): void {
    for (const { past } of this.lanes) releaseAll(past);
    this.lanes.clear();
    this.prefilling = null;
  }

  release(): void {
    this.feed.release();
    this.runOptions.release();
  }

  private async run(lane: HandedLane, ids: ArrayLike<number>, keep: number, options?: RunOptions): Promise<LogitRows> {
    if (lane.past.length === 0) lane.past = await this.device.looseTensors(0);
    return this.graph.session.exclusive(() => this.runNow(lane, ids, keep, options));
  }

  private async runNow(
    lane: HandedLane,
    ids: ArrayLike<number>,
    keep: number,
    options?: RunOptions,
  ): Promise<LogitRows> {
    const { session, names } = this.graph;
    const { loosePlace } = this.device;
    // A binding for each run: one that stayed would keep the K/V of a sequence that has ended.
    const binding = session.createBinding();
    try {
      for (const [i, value] of lane.past.entries()) {
        binding.bindInput(names.past[i]!, value);
        binding.bindOutputToDevice(names.present[i]!, loosePlace);
      }
      const logits = this.feed.bind(binding, { ids, pasts: [lane.tokens], keep });
      await session.run(binding, options);
      const made = binding.outputs();
      this.replace(
        lane,
        names.present.map((name) => made.get(name)!),
        lane.tokens + ids.length,
      );
      return logits;
    } finally {
      binding.release();
    }
  }

  private replace(lane: HandedLane, past: readonly Value[], tokens: number): void {
    releaseAll(lane.past);
    lane.past = past;
    lane.tokens = tokens;
  }

  private own(lane: Lane): HandedLane {
    const own = lane as HandedLane;
    if (!this.lanes.has(own)) throw new InternalError('a lane was used that is closed');
    return own;
  }
}

function releaseAll(values: readonly Value[]): void {
  for (const value of values) value.release();
}
