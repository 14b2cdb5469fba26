import { setImmediate as breath } from 'node:timers/promises';
import type { BlockMeta } from '../core/block.js';
import type { GraphRunner, Lane } from './graph-runner.js';
import type { EngineObserver } from './observer.js';
import type { PrefixCache, PreparedPrefix } from './prefix-cache.js';
import { Rate } from './rate.js';
import type { Sequence } from './sequence.js';
import type { WaitingLine } from './waiting-line.js';

export interface SchedulerOptions {
  readonly runner: GraphRunner;
  readonly line: WaitingLine;
  readonly cache: PrefixCache;
  readonly blockTokens: number;
  /** Tokens of a prompt in one run, and in one run that makes the logits of all of them. */
  readonly chunkTokens: number;
  readonly chunkTokensWithLogits: number;
  readonly observer: EngineObserver;
  readonly clockNow: () => number;
  /** A sequence is over and holds nothing any more; `error` is null where it went well. */
  readonly onEnd: (sequence: Sequence, error: unknown) => void;
}

export interface SchedulerCounts {
  generatedTokens: number;
  readonly promptTokens: { local: number; remote: number; computed: number };
}

/**
 * Runs the sequences of an engine, round after round: one chunk of the one prompt that is being prefilled, then one step of all that decode. So a
 * long prompt holds the others up by a chunk a token, and they hold it up by a step a chunk. Prompts are prefilled one after another, in the order
 * in which their prefixes came.
 *
 * Everything that touches lanes happens in `run`, which is called once; other methods only leave word for it.
 */
export class Scheduler {
  readonly compute = new Rate();
  readonly step = new Rate();
  readonly counts: SchedulerCounts = { generatedTokens: 0, promptTokens: { local: 0, remote: 0, computed: 0 } };
  private readonly options: SchedulerOptions;
  private readonly decoding = new Map<Lane, Sequence>();
  private prefilling: Sequence | null = null;
  private stopped = false;
  private asleep: (() => void) | null = null;

  constructor(options: SchedulerOptions) {
    this.options = options;
  }

  /** Sequences that have a lane. */
  get running(): number {
    return this.decoding.size + (this.prefilling === null ? 0 : 1);
  }

  sequences(): readonly Sequence[] {
    return [...this.decoding.values(), ...(this.prefilling === null ? [] : [this.prefilling])];
  }

  /** Says that there may be something to do. */
  wake(): void {
    this.asleep?.();
  }

  /** Says that nobody wants the sequence any more. A batch that it is in is not stopped for its sake. */
  drop(sequence: Sequence): void {
    if (sequence === this.prefilling) this.options.runner.interrupt();
    this.wake();
  }

  /** Lets `run` return when no sequence has a lane any more. */
  stop(): void {
    this.stopped = true;
    this.wake();
  }

  async run(): Promise<void> {
    while (!this.stopped || this.running > 0) {
      try {
        await this.round();
      } catch (error) {
        // Not a run that failed, which is its sequences' affair: lanes may be in disorder.
        this.endAll(error);
      }
      if (this.running === 0 && !this.stopped) await this.rest();
    }
  }

  /** Until woken, unless a sequence is ready. */
  private async rest(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.asleep = resolve;
      if (this.options.line.ready) resolve();
    });
    this.asleep = null;
  }

  private async round(): Promise<void> {
    const { runner, line, clockNow } = this.options;
    if (this.prefilling === null && runner.open < runner.capacity) {
      const next = line.take();
      if (next !== null) await this.begin(next.sequence, next.prefix);
    }
    if (this.prefilling !== null) await this.prefill(this.prefilling);
    for (const [lane, sequence] of this.decoding) if (sequence.cancelled) await this.end(sequence, lane, null);
    const batches = runner.batches();
    const beganMs = clockNow();
    for (const batch of batches) await this.decode(batch);
    if (batches.length > 0) this.step.add(clockNow() - beganMs, 1);
  }

  /** Gives the sequence a lane with its prefix in it. */
  private async begin(sequence: Sequence, prefix: PreparedPrefix): Promise<void> {
    const { runner, clockNow, observer, blockTokens } = this.options;
    let lane: Lane;
    try {
      lane = runner.start();
    } catch (error) {
      this.letGo(sequence, sequence.cancelled ? null : error);
      return;
    }
    sequence.to({ name: 'prefilling', prefix, lane });
    this.prefilling = sequence;
    try {
      await runner.join(lane, prefix.blocks);
    } catch (error) {
      await this.end(sequence, lane, error);
      return;
    }
    prefix.unpin();
    sequence.skipOffers(prefix.blocks.length);
    const local = prefix.localBlocks * blockTokens;
    const remote = prefix.remoteBlocks * blockTokens;
    const cached = { local, remote, computed: sequence.length - local - remote };
    this.counts.promptTokens.local += local;
    this.counts.promptTokens.remote += remote;
    const queueMs = clockNow() - sequence.arrivedMs;
    observer.onQueue(queueMs);
    sequence.events.push({ type: 'start', cached, queueMs });
  }

  /** Runs the next chunk of the prompt; after the last one, chooses the first token. */
  private async prefill(sequence: Sequence): Promise<void> {
    if (sequence.state.name !== 'prefilling') return;
    const { lane, prefix } = sequence.state;
    try {
      const outcome = sequence.cancelled ? 'over' : await this.runChunk(sequence, lane);
      if (outcome === 'over') return await this.end(sequence, lane, null);
      await this.offer(sequence, lane);
      if (outcome === 'more') return;
      await this.options.runner.promote(lane);
    } catch (error) {
      return await this.end(sequence, lane, error);
    }
    prefix.settle();
    sequence.to({ name: 'decoding', lane });
    this.prefilling = null;
    this.decoding.set(lane, sequence);
  }

  /** `more` where the prompt goes on, `begun` where the first token was chosen, `over` where that was the end of the sequence. */
  private async runChunk(sequence: Sequence, lane: Lane): Promise<'more' | 'begun' | 'over'> {
    const { runner, chunkTokens, chunkTokensWithLogits, clockNow } = this.options;
    const { promptLogprobs } = sequence.request.sampling;
    const from = lane.tokens;
    const to = Math.min(sequence.length, from + (promptLogprobs ? chunkTokensWithLogits : chunkTokens));
    const keep = promptLogprobs ? to - from : 1;
    const beganMs = clockNow();
    const logits = await runner.prefill(lane, sequence.tokens(from, to), keep);
    this.compute.add(clockNow() - beganMs, to - from);
    this.counts.promptTokens.computed += to - from;
    if (sequence.cancelled) return 'over';
    if (promptLogprobs) for (let i = 0; i < keep; i++) sequence.notePrompt(logits.row(i), from + i);
    if (to < sequence.length) return 'more';
    if (promptLogprobs) sequence.sendPrompt();
    if (sequence.full) {
      sequence.endEmpty();
      return 'over';
    }
    const goesOn = this.advance(sequence, logits.row(keep - 1));
    // Its reader gets the first token before blocks are copied.
    await breath();
    return goesOn ? 'begun' : 'over';
  }

  /** One step of the sequences that are run together. */
  private async decode(batch: readonly Lane[]): Promise<void> {
    const { runner } = this.options;
    const sequences = batch.map((lane) => this.decoding.get(lane)!);
    let outcomes: StepOutcome[];
    try {
      const ids = sequences.map(({ lastToken }) => lastToken);
      const logits = await runner.decode(batch, ids);
      outcomes = sequences.map((sequence, i) => this.stepOutcome(sequence, () => logits.row(i)));
    } catch (error) {
      outcomes = sequences.map(() => ({ over: true, error }));
    }
    for (let i = 0; i < batch.length; i++) {
      const sequence = sequences[i]!;
      const lane = batch[i]!;
      const { over, error } = outcomes[i]!;
      if (over) await this.end(sequence, lane, error);
      else await this.offer(sequence, lane);
    }
  }

  private stepOutcome(sequence: Sequence, logits: () => Float32Array): StepOutcome {
    if (sequence.cancelled) return { over: true, error: null };
    try {
      return { over: !this.advance(sequence, logits()), error: null };
    } catch (error) {
      return { over: true, error };
    }
  }

  private advance(sequence: Sequence, logits: Float32Array): boolean {
    const { observer, clockNow } = this.options;
    const before = sequence.length;
    const goesOn = sequence.advance(logits);
    if (sequence.length > before) {
      const nowMs = clockNow();
      this.counts.generatedTokens++;
      if (sequence.lastTokenMs === null) observer.onFirstToken(nowMs - sequence.arrivedMs);
      else observer.onInterToken(nowMs - sequence.lastTokenMs);
      sequence.lastTokenMs = nowMs;
    }
    return goesOn;
  }

  /**
   * Offers the cache what has become a full block, of the prompt and of the answer. Where that fails a copy is lost, never an answer: the rest of
   * the sequence is not offered.
   */
  private async offer(sequence: Sequence, lane: Lane): Promise<void> {
    try {
      for (let meta = sequence.nextOffer(lane.tokens); meta !== null; meta = sequence.nextOffer(lane.tokens)) {
        await this.offerOne(meta, lane);
      }
    } catch (error) {
      sequence.stopOffers();
      this.options.observer.onOfferFailed(error);
    }
  }

  private async offerOne(meta: BlockMeta, lane: Lane): Promise<void> {
    const { cache, runner, blockTokens } = this.options;
    const reserved = cache.reserve(meta);
    if (reserved === null) return;
    try {
      await runner.cut(lane, meta.index * blockTokens, reserved.memory);
    } catch (error) {
      reserved.abort();
      throw error;
    }
    reserved.commit();
  }

  /** Ends a sequence that has a lane: what it computed is offered, unless it failed; then it holds nothing any more. */
  private async end(sequence: Sequence, lane: Lane, error: unknown): Promise<void> {
    const failed = sequence.cancelled ? null : error;
    if (failed === null) await this.offer(sequence, lane);
    if (sequence === this.prefilling) this.prefilling = null;
    this.decoding.delete(lane);
    this.letGo(sequence, failed);
    await this.options.runner.close(lane);
  }

  private letGo(sequence: Sequence, error: unknown): void {
    if (sequence.state.name === 'ready' || sequence.state.name === 'prefilling') {
      sequence.state.prefix.unpin();
      sequence.state.prefix.settle();
    }
    sequence.to({ name: 'ended' });
    this.options.onEnd(sequence, error);
  }

  private endAll(error: unknown): void {
    const sequences = this.sequences();
    this.prefilling = null;
    this.decoding.clear();
    this.options.runner.closeAll();
    for (const sequence of sequences) this.letGo(sequence, error);
  }
}

interface StepOutcome {
  readonly over: boolean;
  /** Why it cannot go on; null where it came to its end. */
  readonly error: unknown;
}
