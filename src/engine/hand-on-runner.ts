import type { Device, DeviceBlock } from '../device/device.js';
import { InternalError } from '../errors.js';
import { RunOptions } from '../ort/run-options.js';
import { Value } from '../ort/value.js';
import type { GraphRunner, Lane, LogitRows } from './graph-runner.js';
import type { ModelGraph } from './model-graph.js';
import { RunFeed } from './run-feed.js';

interface HandedLane extends Lane {
  tokens: number;
  /** K0, V0, K1, ... `[1, kvHeads, tokens, headDim]` each. */
  past: readonly Value[];
}

/** Runs a graph that joins past and new K/V itself: what a run makes is the past of the next one, and each lane runs alone. */
export class HandOnRunner implements GraphRunner {
  readonly #graph: ModelGraph;
  readonly #device: Device;
  readonly #feed: RunFeed;
  readonly #runOptions: RunOptions;
  readonly #lanes = new Set<HandedLane>();
  #prefilling: HandedLane | null = null;
  #interruptible = false;

  /** @param chunkTokens the most tokens that `prefill` is given */
  constructor(graph: ModelGraph, device: Device, chunkTokens: number) {
    this.#graph = graph;
    this.#device = device;
    this.#feed = new RunFeed(graph, chunkTokens, graph.contextTokens, 1);
    this.#runOptions = new RunOptions(graph.runtime);
  }

  get capacity(): number {
    return this.#device.slots;
  }

  get open(): number {
    return this.#lanes.size;
  }

  start(): Lane {
    if (this.#prefilling !== null || this.open >= this.capacity) {
      throw new InternalError(`no place for a sequence: ${this.open} of ${this.capacity} are taken`);
    }
    const lane = { tokens: 0, past: this.#allocate(0) };
    this.#lanes.add(lane);
    this.#prefilling = lane;
    return lane;
  }

  async join(lane: Lane, blocks: readonly DeviceBlock[]): Promise<void> {
    const own = this.#own(lane);
    if (own.tokens !== 0) throw new InternalError('blocks were joined to a lane that is not fresh');
    if (blocks.length === 0) return;
    const tokens = blocks.length * this.#graph.layout.blockTokens;
    const past = this.#allocate(tokens);
    try {
      await this.#device.join(this.#device.looseSlot(past), 0, blocks);
    } catch (error) {
      releaseAll(past);
      throw error;
    }
    this.#replace(own, past, tokens);
  }

  async prefill(lane: Lane, ids: Uint32Array, keep: number): Promise<LogitRows> {
    if (this.#runOptions.terminated) this.#runOptions.reset();
    this.#interruptible = true;
    try {
      return await this.#run(this.#own(lane), ids, keep, this.#runOptions);
    } finally {
      this.#interruptible = false;
    }
  }

  interrupt(): void {
    if (this.#interruptible) this.#runOptions.terminate();
  }

  async promote(lane: Lane): Promise<void> {
    if (lane !== this.#prefilling) throw new InternalError('a lane that does not prefill was promoted');
    this.#prefilling = null;
  }

  batches(): readonly (readonly Lane[])[] {
    return [...this.#lanes].filter((lane) => lane !== this.#prefilling).map((lane) => [lane]);
  }

  async decode(batch: readonly Lane[], ids: readonly number[]): Promise<LogitRows> {
    if (batch.length !== 1)
      throw new InternalError(`${batch.length} sequences in a step of a graph that runs them alone`);
    return this.#run(this.#own(batch[0]!), ids, 1);
  }

  async cut(lane: Lane, position: number, block: DeviceBlock): Promise<void> {
    await this.#device.cut(this.#device.looseSlot(this.#own(lane).past), position, block);
  }

  async close(lane: Lane): Promise<void> {
    const own = this.#own(lane);
    releaseAll(own.past);
    this.#lanes.delete(own);
    if (own === this.#prefilling) this.#prefilling = null;
  }

  closeAll(): void {
    for (const { past } of this.#lanes) releaseAll(past);
    this.#lanes.clear();
    this.#prefilling = null;
  }

  release(): void {
    this.#feed.release();
    this.#runOptions.release();
  }

  async #run(lane: HandedLane, ids: ArrayLike<number>, keep: number, options?: RunOptions): Promise<LogitRows> {
    const { session, names } = this.#graph;
    // A binding for each run: one that stayed would keep the K/V of a sequence that has ended.
    const binding = session.createBinding();
    try {
      lane.past.forEach((value, i) => {
        binding.bindInput(names.past[i]!, value);
        binding.bindOutputToDevice(names.present[i]!, 'cpu');
      });
      const logits = this.#feed.bind(binding, { ids, pasts: [lane.tokens], keep });
      await session.run(binding, options);
      const made = binding.outputs();
      this.#replace(
        lane,
        names.present.map((name) => made.get(name)!),
        lane.tokens + ids.length,
      );
      return logits;
    } finally {
      binding.release();
    }
  }

  #replace(lane: HandedLane, past: readonly Value[], tokens: number): void {
    releaseAll(lane.past);
    lane.past = past;
    lane.tokens = tokens;
  }

  #allocate(tokens: number): Value[] {
    const { runtime, layout } = this.#graph;
    const shape = [1, layout.kvHeads, tokens, layout.headDim];
    return Array.from({ length: 2 * layout.layers }, () => Value.allocate(runtime, layout.elementType, shape));
  }

  #own(lane: Lane): HandedLane {
    const own = lane as HandedLane;
    if (!this.#lanes.has(own)) throw new InternalError('a lane was used that is closed');
    return own;
  }
}

function releaseAll(values: readonly Value[]): void {
  for (const value of values) value.release();
}
