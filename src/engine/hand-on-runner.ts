import type { Regime } from '../core/kv-dependence.js';
import type { Device, DeviceBlock } from '../device/device.js';
import { InternalError } from '../errors.js';
import { RunOptions } from '../ort/run-options.js';
import type { Value } from '../ort/value.js';
import { bindAdapter, type LoadedAdapter } from './adapters.js';
import type { GraphRunner, LogitRows, SequenceSlot } from './graph-runner.js';
import type { ModelGraph } from './model-graph.js';
import { RunFeed } from './run-feed.js';

/** Runs a graph that returns past and new K/V joined: the outputs of a run are the past of the next. */

interface LooseSlot extends SequenceSlot {
  tokens: number;
  /** K0, V0, K1, ..., each `[1, kvHeads, tokens, headDim]`, then the states of layers without K/V; empty until the first run or join. */
  past: readonly Value[];
}

/** A runner whose slots consist of separate tensors, so that each sequence runs alone. */
export class HandOnRunner implements GraphRunner {
  /** The K/V of fewer tokens would have to be copied. */
  readonly verifier = null;
  private readonly graph: ModelGraph;
  private readonly device: Device;
  private readonly feed: RunFeed;
  private readonly runOptions: RunOptions;
  private readonly slots = new Set<LooseSlot>();
  private prefilling: LooseSlot | null = null;
  private interruptible = false;

  /** @param chunkTokens the maximum number of tokens of one `prefill` */
  constructor(graph: ModelGraph, device: Device, chunkTokens: number) {
    this.graph = graph;
    this.device = device;
    const contextTokens = Math.min(graph.contextTokens, device.slot(0).capacityTokens);
    this.feed = new RunFeed(graph, device, chunkTokens, contextTokens, 1);
    this.runOptions = new RunOptions(graph.runtime);
  }

  get capacity(): number {
    return this.device.slots;
  }

  get acquired(): number {
    return this.slots.size;
  }

  acquire(regime: Regime, adapter: LoadedAdapter | null = null): SequenceSlot {
    if (this.prefilling !== null || this.acquired >= this.capacity) {
      throw new InternalError(`cannot acquire a slot: ${this.acquired} of ${this.capacity} are in use`);
    }
    const slot: LooseSlot = { tokens: 0, regime, adapter, past: [] };
    this.slots.add(slot);
    this.prefilling = slot;
    return slot;
  }

  async join(slot: SequenceSlot, blocks: readonly DeviceBlock[]): Promise<void> {
    const own = this.own(slot);
    if (own.tokens !== 0) throw new InternalError('cannot join blocks into a slot: the slot is not empty');
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

  async prefill(slot: SequenceSlot, ids: Uint32Array, keep: number): Promise<LogitRows> {
    if (this.runOptions.terminated) this.runOptions.reset();
    this.interruptible = true;
    try {
      return await this.run(this.own(slot), ids, keep, this.runOptions);
    } finally {
      this.interruptible = false;
    }
  }

  interrupt(): void {
    if (this.interruptible) this.runOptions.terminate();
  }

  async startDecoding(slot: SequenceSlot): Promise<void> {
    if (slot !== this.prefilling) throw new InternalError('cannot start decoding a slot: the slot is not prefilling');
    this.prefilling = null;
  }

  batches(): readonly (readonly SequenceSlot[])[] {
    return [...this.slots].filter((slot) => slot !== this.prefilling).map((slot) => [slot]);
  }

  async decode(batch: readonly SequenceSlot[], ids: readonly number[]): Promise<LogitRows> {
    if (batch.length !== 1)
      throw new InternalError(
        `cannot decode a batch of ${batch.length} sequences: this graph runs sequences one by one`,
      );
    return this.run(this.own(batch[0]!), ids, 1);
  }

  async cut(slot: SequenceSlot, position: number, block: DeviceBlock): Promise<void> {
    const { tokens, past } = this.own(slot);
    const { blockTokens, states } = this.device.layout;
    if (states !== undefined && position + blockTokens !== tokens) {
      throw new InternalError(
        `cannot cut a block at token ${position}: the states of the slot are those after token ${tokens}`,
      );
    }
    await this.device.cut(this.device.looseSlot(past), position, block);
  }

  /** Bindings last for one run. */
  forget(): void {}

  async release(slot: SequenceSlot): Promise<void> {
    const own = this.own(slot);
    releaseAll(own.past);
    this.slots.delete(own);
    if (own === this.prefilling) this.prefilling = null;
  }

  releaseAll(): void {
    for (const { past } of this.slots) releaseAll(past);
    this.slots.clear();
    this.prefilling = null;
  }

  close(): void {
    this.feed.release();
    this.runOptions.release();
  }

  private async run(slot: LooseSlot, ids: ArrayLike<number>, keep: number, options?: RunOptions): Promise<LogitRows> {
    if (slot.past.length === 0) slot.past = await this.device.looseTensors(0);
    return this.graph.session.exclusive(() => this.runNow(slot, ids, keep, options));
  }

  private async runNow(
    slot: LooseSlot,
    ids: ArrayLike<number>,
    keep: number,
    options?: RunOptions,
  ): Promise<LogitRows> {
    const { session, names } = this.graph;
    const { loosePlace } = this.device;
    // A new binding for each run: a persistent one would keep the K/V of an ended sequence alive.
    const binding = session.createBinding();
    try {
      for (const [i, value] of slot.past.entries()) {
        binding.bindInput(names.past[i]!, value);
        binding.bindOutputToDevice(names.present[i]!, loosePlace);
      }
      if (slot.adapter !== null) bindAdapter(binding, slot.adapter);
      const logits = this.feed.bind(binding, { ids, pasts: [slot.tokens], keep, regime: slot.regime });
      await session.run(binding, options);
      const made = binding.outputs();
      const tokens = slot.tokens + ids.length;
      const present = names.present.map((name) => made.get(name)!);
      try {
        this.requireTokens(present, tokens);
      } catch (error) {
        releaseAll(present);
        throw error;
      }
      this.replace(slot, present, tokens);
      return logits;
    } finally {
      binding.release();
    }
  }

  /** Shortened K/V would be handed on, and shared, as if it belonged to other tokens. */
  private requireTokens(present: readonly Value[], tokens: number): void {
    const kv = present.slice(0, present.length - (this.graph.layout.states?.length ?? 0));
    const wrong = kv.findIndex(({ shape }) => shape[2] !== tokens);
    if (wrong < 0) return;
    throw new InternalError(
      `the graph's output "${this.graph.names.present[wrong]}" has K/V of ${kv[wrong]!.shape[2]} tokens after ${tokens}: it does not return the K/V of all tokens, like a graph that keeps a window`,
    );
  }

  private replace(slot: LooseSlot, past: readonly Value[], tokens: number): void {
    releaseAll(slot.past);
    slot.past = past;
    slot.tokens = tokens;
  }

  private own(slot: SequenceSlot): LooseSlot {
    const own = slot as LooseSlot;
    if (!this.slots.has(own)) throw new InternalError('a slot was used after its release');
    return own;
  }
}

function releaseAll(values: readonly Value[]): void {
  for (const value of values) value.release();
}
