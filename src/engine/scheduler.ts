import { afterSending } from '../async/after-sending.js';
import { chunkSize } from '../core/chunk-size.js';
import { type FairShares, promptCost } from '../core/fair-shares.js';
import type { KeyedTokens } from './admission.js';
import { BlockOffers } from './block-offers.js';
import { Decoder } from './decoder.js';
import type { GraphRunner, LogitRows, SequenceSlot } from './graph-runner.js';
import type { EngineObserver } from './observer.js';
import { letsPass } from './passing.js';
import { PrefillRate } from './prefill-rate.js';
import type { PrefixCache, PreparedPrefix } from './prefix-cache.js';
import { Rate } from './rate.js';
import type { RunPlan } from './run-plan.js';
import type { Sequence } from './sequence.js';
import type { StepOutcome } from './step-outcome.js';
import type { WaitingLine } from './waiting-line.js';

/** The engine's loop: in each round one chunk of one prompt, then one decode step of all decoding sequences. */

export interface SchedulerOptions {
  readonly runner: GraphRunner;
  readonly line: WaitingLine;
  /** Is charged with the computation done for each tenant. */
  readonly shares: FairShares;
  readonly cache: PrefixCache;
  readonly blockTokens: number;
  readonly plan: RunPlan;
  /** The keys of a sequence that has outgrown its regime; null for one that has not. */
  readonly outgrown: (sequence: Sequence) => KeyedTokens | null;
  /** The maximum number of prompt tokens in one run. */
  readonly chunkTokens: number;
  /** The same for a run that computes the logits of all its positions. */
  readonly chunkTokensWithLogits: number;
  /** The longest pause that a chunk should make in running answers; 0 for any. */
  readonly pauseMs: number;
  /** The most tokens of an answer that are guessed at a time; 0 for none. */
  readonly draftTokens: number;
  readonly observer: EngineObserver;
  readonly clockNow: () => number;
  /** Called when a sequence has ended and freed all its resources; `error` is null if it succeeded or was cancelled. */
  readonly onEnd: (sequence: Sequence, error: unknown) => void;
}

/**
 * Runs the sequences of an engine. A round prefills at most one prompt, so a long prompt delays each token of the decoding sequences by one
 * chunk, and they delay each of its chunks by one step. Prompts are prefilled one after another.
 *
 * Only `run` uses the runner's slots; the other methods set flags for it and wake it. `onCancelled` may also interrupt the running prefill.
 */
export class Scheduler {
  readonly compute: Rate;
  readonly step = new Rate();
  readonly promptTokens = { local: 0, remote: 0, computed: 0 };
  private readonly options: SchedulerOptions;
  private readonly decoding = new Map<SequenceSlot, Sequence>();
  private readonly decoder: Decoder;
  private readonly offers: BlockOffers;
  private prefilling: Sequence | null = null;
  /** Whether the cache has taken all blocks of the sequence that is prefilled. */
  private prefillKept = false;
  private stopped = false;
  /** Ends the current `sleep`; null while a round runs. */
  private wakeUp: (() => void) | null = null;

  constructor(options: SchedulerOptions) {
    this.options = options;
    const { cache, runner, blockTokens, chunkTokens, observer } = options;
    this.compute = new PrefillRate(Math.min(blockTokens, chunkTokens));
    this.decoder = new Decoder(options);
    this.offers = new BlockOffers({ cache, runner, blockTokens, onFailed: observer.onOfferFailed.bind(observer) });
  }

  get generatedTokens(): number {
    return this.decoder.generatedTokens;
  }

  /** The number of sequences with a slot. */
  get running(): number {
    return this.decoding.size + (this.prefilling === null ? 0 : 1);
  }

  sequences(): readonly Sequence[] {
    return [...this.decoding.values(), ...(this.prefilling === null ? [] : [this.prefilling])];
  }

  /** Ends the sleep of `run`, because a sequence may be ready. */
  wake(): void {
    this.wakeUp?.();
  }

  /** Handles the cancellation of a running sequence: interrupts its prefill. A decode step of a batch is not interrupted. */
  onCancelled(sequence: Sequence): void {
    if (sequence === this.prefilling) this.options.runner.interrupt();
    this.wake();
  }

  /** Makes `run` return once no sequence has a slot. */
  stop(): void {
    this.stopped = true;
    this.wake();
  }

  /** Runs rounds until `stop`. Call it once. */
  async run(): Promise<void> {
    while (!this.stopped || this.running > 0) {
      try {
        await this.round();
      } catch (error) {
        // A failed run ends its own sequences. Any other failure may leave the slots inconsistent, so all sequences end.
        this.endAll(error);
      }
      if (this.running === 0 && !this.stopped) await this.sleep();
    }
  }

  /** Resolves at the next `wake`, or at once if a sequence is ready. */
  private async sleep(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.wakeUp = resolve;
      if (this.options.line.ready) resolve();
    });
    this.wakeUp = null;
  }

  /** One round: starts a sequence, runs a prefill chunk, ends cancelled sequences, and runs a decode step. */
  private async round(): Promise<void> {
    const { runner, line, clockNow } = this.options;
    if (this.prefilling !== null && line.next !== null) await this.pauseFor(this.prefilling, line.next);
    if (this.prefilling === null && runner.acquired < runner.capacity) {
      const next = line.dequeue();
      if (next !== null) await this.start(next.sequence, next.prefix);
    }
    if (this.prefilling !== null) await this.prefill(this.prefilling);
    for (const [slot, sequence] of this.decoding) if (sequence.cancelled) await this.end(sequence, slot, null);
    for (const [slot, sequence] of this.decoding) await this.startOverIfOutgrown(sequence, slot);
    const batches = runner.batches();
    const startMs = clockNow();
    const outcomes: StepOutcome[] = [];
    for (const batch of batches) outcomes.push(...(await this.decoder.step(batch, this.sequencesOf(batch))));
    const endMs = clockNow();
    if (batches.length > 0) this.step.add(endMs - startMs, 1, endMs);
    // Not before all batches have run: releasing a slot may move slots of another batch.
    for (const outcome of outcomes) await this.settle(outcome);
  }

  /** Stops a prefill, and puts its sequence back into the line, if it lets `next` pass. */
  private async pauseFor(sequence: Sequence, next: Sequence): Promise<void> {
    if (sequence.state.name !== 'prefilling' || sequence.cancelled) return;
    const { slot, prefix } = sequence.state;
    const { runner, line, shares, blockTokens } = this.options;
    // A prefix alone is not progress: each time it runs, a prompt advances by a chunk.
    if (slot.tokens === prefix.blocks.length * blockTokens) return;
    if (!letsPass({ sequence, slot, kept: this.prefillKept }, next, shares, blockTokens)) return;
    await runner.release(slot);
    this.prefilling = null;
    if (sequence.cancelled) {
      this.finish(sequence, null);
      return;
    }
    sequence.pauses++;
    prefix.settle();
    sequence.transition({ name: 'waiting' });
    line.enqueueFirst(sequence);
  }

  /** Acquires a slot for a sequence and copies its prefix into the slot. */
  private async start(sequence: Sequence, prefix: PreparedPrefix): Promise<void> {
    const { runner } = this.options;
    let slot: SequenceSlot;
    try {
      slot = runner.acquire(sequence.regime, sequence.lease?.adapter);
    } catch (error) {
      this.finish(sequence, sequence.cancelled ? null : error);
      return;
    }
    sequence.transition({ name: 'prefilling', prefix, slot });
    this.prefilling = sequence;
    this.prefillKept = true;
    try {
      await runner.join(slot, prefix.blocks);
    } catch (error) {
      await this.end(sequence, slot, error);
      return;
    }
    prefix.unpin();
    sequence.backlog?.have(prefix.blocks.length);
    sequence.skipOffers(prefix.blocks.length);
    // Its reader has the start already.
    if (!sequence.startedOver && sequence.pauses === 0) this.announceStart(sequence, prefix);
    // The start leaves this process before the graph runs, which may crash it: after a crash the coordinator then knows that this prompt had begun.
    await afterSending();
  }

  private announceStart(sequence: Sequence, prefix: PreparedPrefix): void {
    const { clockNow, observer, blockTokens, shares } = this.options;
    const local = prefix.localBlocks * blockTokens;
    const remote = prefix.remoteBlocks * blockTokens;
    const cached = { local, remote, computed: sequence.length - local - remote };
    const queueMs = clockNow() - sequence.arrivedMs;
    sequence.record.started(cached, queueMs);
    if (sequence.ownCache === null) {
      this.promptTokens.local += local;
      this.promptTokens.remote += remote;
      shares.charge(sequence.tenant, promptCost(local + remote, 0));
      observer.onQueue(queueMs);
    }
    sequence.events.push({ type: 'start', cached, queueMs });
  }

  /** Sends a decoding sequence that has outgrown its regime back to the line, to be recomputed in the other regime. */
  private async startOverIfOutgrown(sequence: Sequence, slot: SequenceSlot): Promise<void> {
    const keyed = this.options.outgrown(sequence);
    if (keyed === null) return;
    this.decoding.delete(slot);
    await this.options.runner.release(slot);
    sequence.startOver(keyed);
    this.options.line.enqueueFirst(sequence);
  }

  /** Runs the next chunk of a prompt. After the last chunk the sequence has its first token, and decodes. */
  private async prefill(sequence: Sequence): Promise<void> {
    if (sequence.state.name !== 'prefilling') return;
    const { slot, prefix } = sequence.state;
    try {
      const outcome = sequence.cancelled ? 'ended' : await this.runChunk(sequence, slot);
      if (outcome === 'ended') return await this.end(sequence, slot, null);
      this.prefillKept = (await this.offers.offer(sequence, slot)) && this.prefillKept;
      if (outcome === 'more') return;
      await this.options.runner.startDecoding(slot);
    } catch (error) {
      return await this.end(sequence, slot, error);
    }
    prefix.settle();
    sequence.backlog?.end();
    sequence.transition({ name: 'decoding', slot });
    this.prefilling = null;
    this.decoding.set(slot, sequence);
  }

  /** Returns `more` if chunks of the prompt are left, `prefilled` once the first token is chosen, `ended` if the sequence has ended. */
  private async runChunk(sequence: Sequence, slot: SequenceSlot): Promise<'more' | 'prefilled' | 'ended'> {
    const { runner, plan, chunkTokens, chunkTokensWithLogits, pauseMs, blockTokens, clockNow } = this.options;
    const promptLogprobs = sequence.wantsPromptLogprobs;
    const from = slot.tokens;
    const mostTokens = promptLogprobs ? chunkTokensWithLogits : chunkTokens;
    const besideAnswers = { mostTokens, blockTokens, pauseMs, msPerToken: this.compute.msPerUnit };
    const to = plan.endOfRun(sequence, from, this.decoding.size > 0 ? chunkSize(besideAnswers) : mostTokens);
    const keep = promptLogprobs || plan.keepsAll ? to - from : 1;
    const startMs = clockNow();
    const chunk = sequence.record.current.child('shoal.prefill.chunk', { 'shoal.from': from, 'shoal.to': to });
    let logits: LogitRows;
    try {
      logits = await runner.prefill(slot, sequence.tokens(from, to), keep);
    } finally {
      chunk.end();
      // A cancelled run has used the device too.
      if (sequence.ownCache === null) this.options.shares.charge(sequence.tenant, promptCost(0, to - from));
    }
    const endMs = clockNow();
    this.compute.add(endMs - startMs, to - from, endMs);
    sequence.backlog?.have(Math.floor(to / blockTokens));
    if (sequence.ownCache === null) this.promptTokens.computed += to - from;
    if (sequence.cancelled) return 'ended';
    if (promptLogprobs) for (let i = 0; i < keep; i++) sequence.addPromptLogits(logits.row(i), from + i);
    if (to < sequence.length) return 'more';
    if (promptLogprobs) sequence.flushPromptLogprobs();
    if (sequence.full) {
      sequence.endWithoutToken();
      return 'ended';
    }
    const continues = this.decoder.advance(sequence, logits.row(keep - 1));
    // The reader gets the first token before blocks are copied.
    await afterSending();
    return continues ? 'prefilled' : 'ended';
  }

  private sequencesOf(batch: readonly SequenceSlot[]): readonly Sequence[] {
    return batch.map((slot) => this.decoding.get(slot)!);
  }

  private async settle({ sequence, slot, ended, error }: StepOutcome): Promise<void> {
    if (ended) await this.end(sequence, slot, error);
    else await this.offers.offer(sequence, slot);
  }

  /** Ends a sequence that has a slot: offers its last full blocks unless it failed, then frees its resources. */
  private async end(sequence: Sequence, slot: SequenceSlot, error: unknown): Promise<void> {
    const failure = sequence.cancelled ? null : error;
    if (failure === null) await this.offers.offer(sequence, slot);
    if (sequence === this.prefilling) this.prefilling = null;
    this.decoding.delete(slot);
    this.finish(sequence, failure);
    await this.options.runner.release(slot);
  }

  /** Frees everything but the slot, and reports the end. */
  private finish(sequence: Sequence, error: unknown): void {
    if (sequence.state.name === 'ready' || sequence.state.name === 'prefilling') {
      sequence.state.prefix.unpin();
      sequence.state.prefix.settle();
    }
    sequence.transition({ name: 'ended' });
    this.options.shares.ends(sequence.tenant, this.options.clockNow());
    this.options.onEnd(sequence, error);
  }

  private endAll(error: unknown): void {
    const sequences = this.sequences();
    this.prefilling = null;
    this.decoding.clear();
    this.options.runner.releaseAll();
    for (const sequence of sequences) this.finish(sequence, error);
  }
}
