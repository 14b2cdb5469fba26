import { setMaxListeners } from 'node:events';
import { LOOP_TURNS } from '../../src/async/loop-turns.js';
import type { Clock } from '../../src/clock.js';
import { Cancelled, InternalError, ShoalError } from '../../src/errors.js';
import type { RequestMetrics, TokenSource } from '../../src/metrics/request-metrics.js';
import type { Fleet, FleetEvent } from '../fleet.js';
import type { QuotaUse } from '../quota/quota-use.js';
import { ApiError } from './api-error.js';
import { Choice, type Delta } from './choice.js';
import { merged } from './merged.js';
import type { ChoicePlan } from './plan.js';
import type { RequestLimit } from './request-limit.js';
import type { TextTokenizer } from './served-model.js';
import type { Tally } from './tally.js';

/** Runs the choices of a request concurrently and measures them. */

export interface GenerationPorts {
  readonly fleet: Fleet;
  readonly tokenizer: TextTokenizer;
  readonly requestLimit: RequestLimit;
  readonly metrics: RequestMetrics;
  readonly clock: Clock;
}

/** Choices of one request that run at once. Further ones wait for their turn. */
const CHOICES_AT_ONCE = 128;

/** One request being answered. */
export interface GenerationJob {
  readonly choices: readonly ChoicePlan[];
  readonly tally: Tally;
  readonly arrivedMs: number;
  /** Counts the tokens of the answer against the limits of a key; null if there are none. */
  readonly use: Pick<QuotaUse, 'generated'> | null;
  /** Aborted, with the error to report as its reason, when the client disconnects, loses its rights, or the coordinator stops. */
  readonly signal: AbortSignal;
}

/**
 * Runs the choices concurrently, at most `CHOICES_AT_ONCE`, and yields their deltas in order of arrival, with backpressure: each choice is at most
 * one delta ahead of the reader. If a choice fails, the others are cancelled and its error is thrown.
 */
export async function* generate(job: GenerationJob, ports: GenerationPorts): AsyncGenerator<Delta, void> {
  const { choices, signal } = job;
  const atOnce = Math.min(choices.length, CHOICES_AT_ONCE);
  const release = ports.requestLimit.admit(atOnce, choices[0]?.request.tenant?.name ?? null);
  try {
    yield* choices.length === 1 ? runChoice(choices[0]!, job, ports, signal) : runChoices(job, ports);
  } catch (error) {
    // Report the abort's reason, not the errors that the abort caused.
    const { reason } = signal;
    if (signal.aborted && (reason instanceof ShoalError || reason instanceof ApiError)) throw reason;
    throw error;
  } finally {
    release();
  }
}

async function* runChoices(job: GenerationJob, ports: GenerationPorts): AsyncGenerator<Delta, void> {
  const group = new AbortController();
  // Each choice adds a listener, and Node warns above ten.
  setMaxListeners(CHOICES_AT_ONCE, group.signal);
  const unlink = linkAbort(job.signal, group);
  try {
    yield* merged(
      job.choices.map((plan) => runChoice(plan, job, ports, group.signal)),
      CHOICES_AT_ONCE,
    );
  } finally {
    unlink();
    group.abort(new Cancelled('the answer has ended'));
  }
}

async function* runChoice(
  plan: ChoicePlan,
  job: GenerationJob,
  { fleet, tokenizer, metrics, clock }: GenerationPorts,
  signal: AbortSignal,
): AsyncGenerator<Delta, void> {
  const choice = new Choice(plan, tokenizer);
  const meter = new ChoiceMeter(plan.index, job, metrics, clock);
  try {
    // To route a choice takes milliseconds if the prompt is long, and a request may have many choices.
    if (plan.index > 0) await LOOP_TURNS.next();
    for await (const event of fleet.generate(plan.request, signal)) {
      signal.throwIfAborted();
      if (isLong(event)) await LOOP_TURNS.next();
      const { completionTokens: before, reasoningTokens: reasoned } = choice;
      const delta = choice.take(event);
      meter.observe(event, choice.completionTokens - before);
      job.tally.recordReasoning(choice.reasoningTokens - reasoned);
      if (choice.finish !== null) job.tally.recordFinish(plan.index, choice.finish);
      if (delta !== null) yield delta;
      // After a stop string, to leave the stream cancels its request.
      if (choice.finish !== null) return;
    }
    throw new InternalError(`the stream of ${plan.request.requestId} ended without an end event`);
  } finally {
    meter.close();
  }
}

/** Events of more tokens take milliseconds. They come in a row for a prompt with requested log-probabilities. */
const LONG_EVENT_TOKENS = 64;

function isLong(event: FleetEvent): boolean {
  if (event.type === 'prompt') return event.logprobs.length > LONG_EVENT_TOKENS;
  return event.type === 'tokens' && event.ids.length > LONG_EVENT_TOKENS;
}

/**
 * Aborts `child` when `parent` aborts. Returns the function that removes the link, so that a long-lived parent does not accumulate the
 * listeners of short calls.
 */
function linkAbort(parent: AbortSignal, child: AbortController): () => void {
  const abort = () => child.abort(parent.reason);
  if (parent.aborted) abort();
  else parent.addEventListener('abort', abort, { once: true });
  return () => parent.removeEventListener('abort', abort);
}

/** Records the metrics and the usage of one choice. */
class ChoiceMeter {
  private state: 'waiting' | 'running' | 'closed' = 'waiting';
  private lastTokenMs: number | null = null;

  constructor(
    private readonly index: number,
    private readonly job: GenerationJob,
    private readonly metrics: RequestMetrics,
    private readonly clock: Clock,
  ) {
    metrics.waiting.add(1);
  }

  observe(event: FleetEvent, newTokens: number): void {
    if (event.type === 'start') this.started(event);
    if (newTokens > 0) this.generated(newTokens);
  }

  close(): void {
    this.enter('closed');
  }

  private started(event: Extract<FleetEvent, { type: 'start' }>): void {
    this.enter('running');
    this.job.tally.recordStart(this.index, event);
    this.metrics.queueSeconds.observe(event.queueMs / 1_000);
    for (const source of ['local', 'remote', 'computed'] satisfies TokenSource[]) {
      this.metrics.promptTokens.add(event.cached[source], { source });
    }
  }

  private generated(tokens: number): void {
    const now = this.clock.now();
    const sinceArrivalMs = now - this.job.arrivedMs;
    if (this.job.tally.recordTokens(tokens, sinceArrivalMs))
      this.metrics.firstTokenSeconds.observe(sinceArrivalMs / 1_000);
    if (this.lastTokenMs !== null) this.metrics.interTokenSeconds.observe((now - this.lastTokenMs) / tokens / 1_000);
    this.lastTokenMs = now;
    this.metrics.generatedTokens.add(tokens);
    this.job.use?.generated(tokens);
  }

  private enter(state: 'running' | 'closed'): void {
    if (this.state === state) return;
    if (this.state === 'waiting') this.metrics.waiting.add(-1);
    if (this.state === 'running') this.metrics.running.add(-1);
    if (state === 'running') this.metrics.running.add(1);
    this.state = state;
  }
}
