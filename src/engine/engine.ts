import { Deferred } from '../async/deferred.js';
import { IdleCondition } from '../async/idle.js';
import type { PrefillBounds } from '../core/chunk-size.js';
import type { TokenTrie } from '../core/constraint/token-trie.js';
import { FairShares } from '../core/fair-shares.js';
import { regimeOf } from '../core/kv-dependence.js';
import type { Salt } from '../core/salt.js';
import { SamplingScratch } from '../core/sampling/scratch.js';
import type { Device } from '../device/device.js';
import { Cancelled, InternalError, ShoalError, Unavailable } from '../errors.js';
import { elementBytes } from '../ort/element-type.js';
import { OrtError } from '../ort/ort-error.js';
import type { AdapterRef } from '../protocol/adapter.js';
import { type GenerateEvent, type GenerateRequest, GREEDY, packTokens } from '../protocol/generate.js';
import { NO_SPAN, type Span } from '../trace/span.js';
import type { Adapters, LoadedAdapter } from './adapters.js';
import { type AdmissionBounds, admit, type KeyedTokens, keyTokens } from './admission.js';
import { Backlog } from './backlog.js';
import { Constraints } from './constraints.js';
import { EventStream } from './event-stream.js';
import type { GraphRunner, MakeRunner } from './graph-runner.js';
import { HandOnRunner } from './hand-on-runner.js';
import { InPlaceRunner } from './in-place-runner.js';
import type { ModelGraph } from './model-graph.js';
import { type EngineObserver, NO_OBSERVER } from './observer.js';
import type { PrefixCache } from './prefix-cache.js';
import { longestRun, runPlan } from './run-plan.js';
import { Scheduler } from './scheduler.js';
import { endedSequence, Sequence, type SequenceBounds } from './sequence.js';
import { WaitingLine } from './waiting-line.js';

/** The engine: accepts requests, returns streams of events, reports statistics. */

/** The most logits of one run that returns them for all positions; chunks of a prefill are made small enough. */
const PROMPT_LOGITS_BYTES = 64 * 2 ** 20;
/** Waiting sequences beyond the number of slots whose prefixes are loaded ahead. The blocks of a loaded prefix are pinned. */
const PREPARE_AHEAD_SEQUENCES = 8;

export interface EngineOptions {
  readonly graph: ModelGraph;
  /** Default: the runner for the kind of the graph. */
  readonly makeRunner?: MakeRunner;
  readonly device: Device;
  readonly cache: PrefixCache;
  /** Default: the graph takes none. */
  readonly adapters?: Adapters | null;
  /** The fleet's fingerprint. */
  readonly fingerprint: string;
  readonly eosTokenIds: readonly number[];
  /** The bytes of the model's tokens. Without them no answer can be constrained. */
  readonly vocabulary?: TokenTrie | undefined;
  /** The maximum number of prompt tokens in one run. */
  readonly prefill: PrefillBounds;
  /** The most tokens of an answer that are guessed at a time and computed together; 0 for none. */
  readonly draftTokens: number;
  /** The maximum number of sequences that wait for a slot. */
  readonly maxWaiting: number;
  /** A monotonic clock in milliseconds. */
  readonly clockNow: () => number;
  readonly observer?: EngineObserver;
}

export interface EngineStats {
  readonly running: number;
  readonly waiting: number;
  /** Prompt tokens accepted and not computed yet. A block that several sequences wait for counts once. */
  readonly queuedTokens: number;
  /** Since the start. */
  readonly generatedTokens: number;
  readonly promptTokens: { readonly local: number; readonly remote: number; readonly computed: number };
  /** Prefill time; null until measured. */
  readonly computeMsPerToken: number | null;
  /** Time since the last measurement of it; null until measured. */
  readonly computeAgeMs: number | null;
  /** Time of one decode step of all decoding sequences; null until measured. */
  readonly decodeMsPerStep: number | null;
}

/** Runs sequences over one graph on one device. The caller owns graph, device and cache, which must outlive the engine. */
export class Engine {
  /** The maximum number of tokens of prompt and answer together. */
  readonly contextTokens: number;
  private readonly options: EngineOptions;
  private readonly bounds: AdmissionBounds & SequenceBounds;
  private readonly scratch: SamplingScratch;
  private readonly observer: EngineObserver;
  private readonly runner: GraphRunner;
  private readonly line: WaitingLine;
  private readonly scheduler: Scheduler;
  private run: Promise<void> | null = null;
  private readonly recomputed = new Map<Sequence, Deferred<void>>();
  private readonly abortListeners = new Map<Sequence, () => void>();
  private readonly idleCondition = new IdleCondition(() => this.abortListeners.size === 0);
  private readonly backlog: Backlog;
  private closed = false;

  constructor(options: EngineOptions) {
    const { graph, device, cache, clockNow } = options;
    this.options = options;
    this.observer = options.observer ?? NO_OBSERVER;
    this.contextTokens = Math.min(graph.contextTokens, device.slot(0).capacityTokens);
    const { blockTokens } = device.layout;
    const { dependence } = graph;
    const tokensWithLogits = Math.max(
      1,
      Math.floor(PROMPT_LOGITS_BYTES / (graph.vocab * elementBytes(graph.logitsType))),
    );
    const plan = runPlan(dependence, device.layout);
    this.bounds = {
      fingerprint: options.fingerprint,
      vocab: graph.vocab,
      contextTokens: this.contextTokens,
      ...{ blockTokens, dependence, plan, eosTokenIds: options.eosTokenIds },
      constraints: options.vocabulary === undefined ? null : new Constraints(options.vocabulary),
      lastLogitsOnly: graph.lastLogitsOnly,
      adapters: (options.adapters ?? null) !== null,
      promptLogprobsTokens: dependence.kind === 'length' ? tokensWithLogits : null,
    };
    this.backlog = new Backlog(blockTokens);
    this.scratch = new SamplingScratch(graph.vocab);
    const wantedTokens = Math.min(options.prefill.chunkTokens, device.longestRunTokens);
    const chunkTokensWithLogits = Math.min(wantedTokens, tokensWithLogits);
    const computesAll = graph.names.logitsToKeep === null && !graph.lastLogitsOnly;
    const chunkTokens = computesAll ? chunkTokensWithLogits : wantedTokens;
    const runTokens = longestRun(dependence, { chunkTokens, blockTokens, contextTokens: this.contextTokens, device });
    this.runner = (options.makeRunner ?? runnerOf)(graph, device, runTokens);
    const shares = new FairShares();
    this.line = new WaitingLine({
      cache,
      adapters: options.adapters ?? null,
      shares,
      slots: this.runner.capacity,
      clockNow,
      maxLength: options.maxWaiting,
      prepareCount: this.runner.capacity + PREPARE_AHEAD_SEQUENCES,
      onReady: () => this.scheduler.wake(),
      onFailed: (sequence, error) => {
        this.line.remove(sequence);
        this.end(sequence, error);
      },
    });
    this.scheduler = new Scheduler({
      runner: this.runner,
      line: this.line,
      shares,
      cache,
      ...{ blockTokens, plan },
      outgrown: (sequence) => this.outgrown(sequence),
      chunkTokens,
      chunkTokensWithLogits,
      pauseMs: options.prefill.pauseMs,
      draftTokens: Math.min(options.draftTokens, runTokens - 1),
      observer: this.observer,
      clockNow,
      onEnd: (sequence, error) => this.end(sequence, error),
    });
  }

  /** Begins to run sequences, if the first request has not done so. Idempotent. */
  start(): void {
    if (!this.closed) this.run ??= this.scheduler.run();
  }

  /**
   * Runs a request. It starts at once, whether or not its events are read. It is cancelled by `signal`, or if the reader stops early.
   *
   * The iteration throws `InvalidRequest` naming the field, `Refused` for another fleet's fingerprint, `Overloaded` if too many requests wait,
   * `Unavailable` after `close` or if memory runs out, `Cancelled` or the signal's reason, or the error of the graph's run.
   * @param span gets the parts of the work, and is ended with it
   */
  generate(request: GenerateRequest, signal: AbortSignal, span: Span = NO_SPAN): AsyncIterableIterator<GenerateEvent> {
    try {
      if (this.closed) throw new Unavailable('cannot start a request: this worker is closed');
      if (signal.aborted) throw reasonOf(signal);
      this.start();
      const admitted = admit(request, this.bounds);
      const arrivedMs = this.options.clockNow();
      const onCancel = (cancelled: Sequence) => this.onCancelled(cancelled);
      const sequence = new Sequence(admitted, this.bounds, this.scratch, arrivedMs, onCancel, null, span);
      this.line.enqueue(sequence, () => {
        sequence.backlog = this.backlog.add(admitted.blocks, admitted.tokens.length);
        this.listen(sequence, signal);
      });
      return sequence.events;
    } catch (error) {
      span.end(error);
      return failedStream(error);
    }
  }

  /**
   * Computes a prompt without an answer, into the given cache: blocks that the cache prepares are not computed, and each computed full block is offered
   * to it. Statistics ignore such a run, but it waits in line like any other. Resolves at its end. Rejects as the iteration of `generate` does.
   */
  async recompute(prompt: EnginePrompt, cache: PrefixCache, signal: AbortSignal): Promise<void> {
    if (this.closed) throw new Unavailable('cannot compute a prompt: this worker is closed');
    if (signal.aborted) throw reasonOf(signal);
    this.start();
    const admitted = admit(computeOnly(prompt, this.options.fingerprint), this.bounds);
    const onCancel = (cancelled: Sequence) => this.onCancelled(cancelled);
    const sequence = new Sequence(admitted, this.bounds, this.scratch, this.options.clockNow(), onCancel, cache);
    const ended = new Deferred<void>();
    this.line.enqueue(sequence, () => {
      this.listen(sequence, signal);
      this.recomputed.set(sequence, ended);
    });
    try {
      for await (const _ of sequence.events);
    } finally {
      // The last blocks are offered after the last event.
      await ended.promise;
    }
  }

  private listen(sequence: Sequence, signal: AbortSignal): void {
    const onAbort = () => sequence.cancel(reasonOf(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    this.abortListeners.set(sequence, () => signal.removeEventListener('abort', onAbort));
  }

  /** The maximum number of sequences that run at a time. */
  get sequences(): number {
    return this.runner.capacity;
  }

  stats(): EngineStats {
    const { generatedTokens, promptTokens, compute, step, running } = this.scheduler;
    return {
      running,
      waiting: this.line.length,
      queuedTokens: this.backlog.tokens,
      generatedTokens,
      promptTokens: { ...promptTokens },
      computeMsPerToken: compute.msPerUnit,
      computeAgeMs: compute.ageMs(this.options.clockNow()),
      decodeMsPerStep: step.msPerUnit,
    };
  }

  /** Resolves when no sequence runs or waits: all slots are free, and no block is pinned for this engine. */
  idle(): Promise<void> {
    return this.idleCondition.wait();
  }

  /** Refuses new requests, fails the others with `Unavailable`, and frees the engine's memory. Idempotent. */
  async close(): Promise<void> {
    const first = !this.closed;
    this.closed = true;
    if (first) {
      const closing = new Unavailable('cannot finish the request: this worker is closing');
      for (const sequence of [...this.line.sequences(), ...this.scheduler.sequences()]) sequence.cancel(closing);
      this.scheduler.stop();
    }
    await this.run;
    if (first) this.runner.close();
  }

  /** Frees the memory kept for an adapter that no sequence uses. */
  forget(adapter: LoadedAdapter): void {
    this.runner.forget(adapter);
  }

  /** The keys of a sequence that is longer than its regime allows; null while it is not. */
  private outgrown(sequence: Sequence): KeyedTokens | null {
    if (regimeOf(this.bounds.dependence, sequence.length) === sequence.regime) return null;
    return keyTokens(sequence.allTokens(), sequence.request, this.bounds);
  }

  /** Removes a cancelled sequence from the line, or makes the scheduler end it. */
  private onCancelled(sequence: Sequence): void {
    const { name } = sequence.state;
    if (name === 'ended') return;
    if (name === 'prefilling' || name === 'decoding') {
      this.scheduler.onCancelled(sequence);
      return;
    }
    this.line.remove(sequence);
    this.end(sequence, null);
  }

  /** Reports the end of a sequence that has freed all its resources. */
  private end(sequence: Sequence, error: unknown): void {
    if (error !== null) sequence.events.fail(errorOf(error));
    sequence.record.ended(sequence.generatedTokens, error ?? (sequence.cancelled ? sequence.signal.reason : null));
    const outcome = error !== null ? 'failed' : sequence.cancelled ? 'cancelled' : 'done';
    if (sequence.ownCache === null) {
      this.observer.onEnd(outcome, this.options.clockNow() - sequence.arrivedMs, endedSequence(sequence));
    }
    sequence.backlog?.end();
    sequence.lease?.release();
    this.recomputed.get(sequence)?.resolve();
    this.recomputed.delete(sequence);
    this.abortListeners.get(sequence)?.();
    this.abortListeners.delete(sequence);
    this.idleCondition.notify();
  }
}

/** A prompt to compute blocks for, with their salt and adapter. */
export interface EnginePrompt {
  readonly tokens: Uint32Array;
  readonly salt: Salt;
  readonly adapter?: AdapterRef | undefined;
}

function computeOnly({ tokens, salt, adapter }: EnginePrompt, fingerprint: string): GenerateRequest {
  return {
    requestId: '',
    fingerprint,
    tokens: packTokens(tokens),
    resumeTokens: 0,
    salt,
    ...(adapter && { adapter }),
    sources: [],
    sampling: GREEDY,
    stopping: { maxTokens: 0, minTokens: 0, tokenIds: [], ignoreEos: true },
  };
}

/** The runner for the kind of the graph. */
export const runnerOf: MakeRunner = (graph, device, chunkTokens) =>
  new (graph.kind === 'in-place' ? InPlaceRunner : HandOnRunner)(graph, device, chunkTokens);

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof ShoalError ? signal.reason : new Cancelled('the request was cancelled');
}

function failedStream(error: unknown): EventStream {
  const events = new EventStream(() => {});
  events.fail(errorOf(error));
  return events;
}

function errorOf(error: unknown): Error {
  if (error instanceof OrtError && error.outOfMemory) {
    return new Unavailable(
      'cannot run the request: this worker is out of memory; try another worker, or try again later',
      {
        cause: error,
      },
    );
  }
  return error instanceof Error ? error : new InternalError(String(error));
}
