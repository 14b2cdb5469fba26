import type { Clock } from '../src/clock.js';
import type { Salt } from '../src/core/salt.js';
import {
  Cancelled,
  InternalError,
  Overloaded,
  PoisonousPrompt,
  RunFailed,
  type ShoalError,
  Unavailable,
  Unheard,
} from '../src/errors.js';
import type { AdapterRef } from '../src/protocol/adapter.js';
import {
  type GenerateEvent,
  type GenerateRequest,
  packTokens,
  type Sampling,
  type Stopping,
} from '../src/protocol/generate.js';
import { NO_SPAN, type Span } from '../src/trace/span.js';
import type { FleetEvent } from './fleet.js';
import type { LostWorker, Trial } from './poison/trial.js';
import { PromptParts } from './prompt-parts.js';

/** Runs a request to its end, over as many workers as that takes. */

/** The client gets an error after this many losses of workers that live on. @internal exported for tests. */
export const REQUEST_ATTEMPTS = 4;
/** How long a request is tried again because NATS was lost, while its answer does not advance. @internal exported for tests. */
export const REQUEST_OUTAGES_MS = 60_000;
/** The client gets an error after this many losses of any kind: more, because most are not its request's fault. @internal exported for tests. */
export const REQUEST_LOSSES = 16;
/** Crashes of workers that ran the request, all of them deaths, after which the error asks the client not to retry. */
const CRASHES = 2;
/** Workers that must fail to run a request before the client gets an error: one may have a broken device. */
const FAILED_RUNS = 2;

/** A worker that can run the request, with the call to it. */
interface ChosenWorker {
  readonly id: string;
  /** Names this incarnation of the worker. */
  readonly instance: string;
  /** @param trace the `traceparent` that the worker gets; null for none */
  run(request: GenerateRequest, signal: AbortSignal, trace: string | null): AsyncIterable<GenerateEvent>;
}

/** The parts of a request that stay the same over all attempts. */
export interface Attempted {
  readonly requestId: string;
  readonly fingerprint: string;
  readonly tokens: Uint32Array;
  /** Empty if the request has no salt. */
  readonly salt: Salt;
  readonly adapter?: AdapterRef | null;
  readonly tenant?: GenerateRequest['tenant'] | null;
  readonly sampling: Sampling;
  readonly stopping: Stopping;
  readonly bursts?: boolean;
  /** Gets placements and attempts. Default: nothing is recorded. */
  readonly span?: Span;
}

export type StartEvent = Extract<GenerateEvent, { type: 'start' }>;

/** One placement of a request: the chosen worker, with sources for the tokens as they were at the time of the choice. */
export interface Placed {
  readonly worker: ChosenWorker;
  readonly sources: GenerateRequest['sources'];
  /** Gets the progress of the attempt, as evidence for or against the prompt. */
  readonly trial: Pick<Trial, 'started' | 'generated' | 'complete' | 'lost'>;
  /** To be called when the cached prefix is in place. */
  started(event: StartEvent): void;
  /** To be called when the prefill has ended: its blocks are available to other requests. */
  prefilled(): void;
  /** Whether the bus has been lost since the placement. A failure of the request then says nothing about the worker. */
  busWasLost(): boolean;
  /** Whether the direct connection to the worker has closed since the placement. The worker may live on, and be reached another way. */
  connectionWasLost(): boolean;
  /** To be called when the attempt has ended, in success or failure. */
  done(): void;
}

/** The attempts of a request that have failed. */
export interface Failures {
  /** Instances of workers that failed or refused the request. */
  readonly tried: ReadonlySet<string>;
  /** The workers of `tried` whose direct connection broke. A worker that is connected again is alive, and may be tried again. */
  readonly cutOff: ReadonlySet<string>;
  /** The workers of `tried` that were lost without an answer, with the time. The others are alive, or were when they refused the request. */
  readonly unheard: ReadonlyMap<string, number>;
  /** Workers that were lost, apparently not because of NATS. */
  readonly lost: readonly LostWorker[];
}

/** Chooses the worker for the next attempt; null if none is left. `resumed`: tokens at the end that earlier attempts generated. */
export type Choose = (
  tokens: Uint32Array,
  resumed: number,
  failures: Failures,
  signal: AbortSignal,
) => Promise<Placed | null>;

/**
 * Runs a request until it ends once, in an `end` event or an error.
 *
 * A lost worker costs only time: the next worker gets the prompt and the tokens generated so far, and resumes there. If a worker's queue is
 * full, another worker is tried; the client gets `Overloaded` only if all queues are full.
 */
export async function* runToItsEnd(
  request: Attempted,
  choose: Choose,
  signal: AbortSignal,
  clock: Pick<Clock, 'now'>,
  onResumed: () => void,
): AsyncGenerator<FleetEvent> {
  const failures = new FailedAttempts(clock);
  const generated: number[] = [];
  const { span = NO_SPAN } = request;
  const prompt = new PromptParts(request.tokens.length);
  let started = false;
  while (!failures.exhausted) {
    const tokens = withGenerated(request.tokens, generated);
    const chosen = await placed(span, () => choose(tokens, generated.length, failures, signal));
    if (!chosen) break;
    const { worker, trial } = chosen;
    const resumed = generated.length;
    if (resumed > 0) onResumed();
    let begun = false;
    const attempt = span.child('shoal.attempt', { 'shoal.worker': worker.id, 'shoal.resumed': resumed }, 'client');
    try {
      let start: FleetEvent | null = null;
      prompt.restart();
      const message = messageOf(request, chosen, tokens, prompt);
      for await (const event of worker.run(message, signal, attempt.traceparent)) {
        begun = true;
        if (event.type === 'start') {
          trial.started();
          chosen.started(event);
          // Hold back the start until output follows, so that it names the worker whose output the client gets.
          start = { ...event, worker: worker.id };
          continue;
        }
        const fresh = event.type === 'prompt' ? prompt.take(event) : event;
        // Before the yield, because a slow client can delay everything after it.
        if (event.type !== 'prompt' || prompt.complete) chosen.prefilled();
        if (event.type === 'tokens') trial.generated(event.ids.length);
        if (event.type === 'end') trial.complete();
        if (fresh === null) continue;
        if (start && !started) yield start;
        started = true;
        if (event.type === 'tokens') generated.push(...event.ids);
        yield fresh;
        if (event.type === 'end') return;
      }
      throw new InternalError(
        `worker ${worker.id} ended the stream of request ${request.requestId} without an end event`,
      );
    } catch (error) {
      attempt.end(error);
      if (signal.aborted) throw new Cancelled('the client disconnected');
      if (!isOfTheWorker(error)) throw error;
      failures.add(error, chosen, { begun, advanced: generated.length > resumed });
      if (generated.length > 0 && generated.length >= request.stopping.maxTokens) {
        // All tokens have arrived, so the lost end event is known without another attempt.
        yield { type: 'end', reason: 'length', token: null };
        return;
      }
    } finally {
      attempt.end();
      chosen.done();
    }
  }
  throw failures.outcome ?? new Unavailable('no worker is serving; retry when /health/ready returns 200');
}

/** The choice of a worker, as a part of the request's trace. */
async function placed(span: Span, choose: () => Promise<Placed | null>): Promise<Placed | null> {
  const placing = span.child('shoal.place');
  let failure: unknown = null;
  try {
    const chosen = await choose();
    if (chosen) placing.set({ 'shoal.worker': chosen.worker.id, 'shoal.sources': chosen.sources.length });
    return chosen;
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    placing.end(failure);
  }
}

/** A failure after which another worker may answer. */
type WorkerFailure = Unavailable | Overloaded | RunFailed;

function isOfTheWorker(error: unknown): error is WorkerFailure {
  return error instanceof Unavailable || error instanceof Overloaded || error instanceof RunFailed;
}

/** How far an attempt came. */
interface Progress {
  /** The worker had begun to compute. */
  readonly begun: boolean;
  /** It had brought the answer forward. */
  readonly advanced: boolean;
}

class FailedAttempts implements Failures {
  readonly tried = new Set<string>();
  readonly cutOff = new Set<string>();
  readonly unheard = new Map<string, number>();
  readonly lost: LostWorker[] = [];
  private last: ShoalError | null = null;
  /** The workers of `lost` whose attempt advanced the answer before the connection broke. */
  private readonly advanced = new Set<LostWorker>();
  /** The workers of `lost` that had begun to compute the request. */
  private readonly begun = new Set<LostWorker>();
  private readonly outages: OutagesInARow;
  private failedRuns = 0;

  constructor(private readonly clock: Pick<Clock, 'now'>) {
    this.outages = new OutagesInARow(clock);
  }

  /** Whether the client gets the error. An outage of NATS is not the fault of the request, so the number of outages does not count. */
  get exhausted(): boolean {
    if (this.outages.tooLong || this.failedRuns >= FAILED_RUNS) return true;
    return this.charged >= REQUEST_ATTEMPTS || this.lost.length >= REQUEST_LOSSES;
  }

  /** The error that the client gets; null if no attempt has failed. If workers only crashed, the client must not send the request again. */
  get outcome(): ShoalError | null {
    const crashes = this.lost.filter((loss) => loss.fate === 'dead' && !loss.explained && this.begun.has(loss)).length;
    if (crashes >= CRASHES && this.lost.every(({ fate }) => fate === 'dead'))
      return new PoisonousPrompt(
        `cannot answer this prompt: ${crashes} workers crashed while they computed it; change the prompt`,
      );
    if (this.outages.tooLong) return this.outages.error;
    return this.lost.at(-1)?.fate === 'dead' && this.last instanceof Unavailable ? this.death(this.last) : this.last;
  }

  /** The death of the workers in the words of a client, which knows none of their actors. */
  private death(cause: Unavailable): Unavailable {
    const { length } = this.lost.filter(({ fate }) => fate === 'dead');
    const dead = length === 1 ? 'its worker died' : `${length} workers died that ran it`;
    return new Unavailable(`cannot finish the answer: ${dead}; retry when /health/ready returns 200`, { cause });
  }

  /** Records a failed attempt. A full queue costs nothing but the worker. */
  add(error: WorkerFailure, { worker, trial, ...chosen }: Placed, { begun, advanced }: Progress): void {
    this.last = error;
    const outage = error instanceof Unavailable && chosen.busWasLost();
    // A worker that failed because the bus was lost may be tried again.
    if (!outage) this.tried.add(worker.instance);
    if (error instanceof Overloaded) return;
    this.outages.add(outage, advanced);
    if (error instanceof RunFailed) this.failedRuns++;
    else if (!outage) {
      const loss = trial.lost();
      if (begun) this.begun.add(loss);
      this.addLoss(loss, worker, chosen.connectionWasLost(), advanced);
    }
    if ((error instanceof Unheard || chosen.connectionWasLost()) && !outage)
      this.unheard.set(worker.instance, this.clock.now());
  }

  private addLoss(loss: LostWorker, { instance }: ChosenWorker, connectionLost: boolean, advanced: boolean): void {
    this.lost.push(loss);
    if (!connectionLost) return;
    this.cutOff.add(instance);
    if (advanced) this.advanced.add(loss);
  }

  /**
   * Losses that count as attempts. Most requests that witness a death did not cause it; `poison` finds the one that did. Nor does a
   * broken connection count if the answer advanced before it broke.
   */
  private get charged(): number {
    return this.lost.filter((loss) => loss.fate === 'spared' && !this.advanced.has(loss)).length;
  }
}

/** The outages of NATS that have ended attempts one after another without any progress of the answer. */
class OutagesInARow {
  private count = 0;
  private sinceMs = 0;

  constructor(private readonly clock: Pick<Clock, 'now'>) {}

  add(outage: boolean, advanced: boolean): void {
    if (advanced || !outage) this.count = 0;
    if (!outage) return;
    if (this.count++ === 0) this.sinceMs = this.clock.now();
  }

  get tooLong(): boolean {
    return this.count > 0 && this.clock.now() - this.sinceMs >= REQUEST_OUTAGES_MS;
  }

  get error(): Unavailable {
    const times = `${this.count} attempts to answer were cut off by outages of NATS`;
    return new Unavailable(
      `cannot answer: ${times} within ${REQUEST_OUTAGES_MS / 1_000} s; retry once NATS is stable, or give workers addresses that the coordinator can dial`,
    );
  }
}

function messageOf(request: Attempted, { sources }: Placed, tokens: Uint32Array, prompt: PromptParts): GenerateRequest {
  return {
    requestId: request.requestId,
    fingerprint: request.fingerprint,
    tokens: packTokens(tokens),
    resumeTokens: tokens.length - request.tokens.length,
    salt: request.salt,
    ...(request.adapter ? { adapter: request.adapter } : {}),
    ...(request.tenant ? { tenant: request.tenant } : {}),
    sources,
    // An earlier attempt may have delivered all log-probabilities of the prompt.
    sampling: prompt.complete ? { ...request.sampling, promptLogprobs: false } : request.sampling,
    stopping: request.stopping,
    ...(request.bursts ? { bursts: true } : {}),
  };
}

function withGenerated(tokens: Uint32Array, generated: readonly number[]): Uint32Array {
  if (generated.length === 0) return tokens;
  const all = new Uint32Array(tokens.length + generated.length);
  all.set(tokens);
  all.set(generated, tokens.length);
  return all;
}
