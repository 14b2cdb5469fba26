import { setMaxListeners } from 'node:events';
import type { Clock } from '../../src/clock.js';
import { Cancelled, InternalError, ShoalError } from '../../src/errors.js';
import type { RequestMetrics, TokenSource } from '../../src/metrics/request-metrics.js';
import type { Fleet, FleetEvent } from '../fleet.js';
import { Choice, type Delta } from './choice.js';
import { merged } from './merged.js';
import type { ChoicePlan } from './plan.js';
import type { RequestLimit } from './request-limit.js';
import type { TextTokenizer } from './served-model.js';
import type { Tally } from './tally.js';

export interface GenerationPorts {
  readonly fleet: Fleet;
  readonly tokenizer: TextTokenizer;
  readonly requestLimit: RequestLimit;
  readonly metrics: RequestMetrics;
  readonly clock: Clock;
}

/** One request for tokens on its way. */
export interface Asked {
  readonly choices: readonly ChoicePlan[];
  readonly tally: Tally;
  readonly arrivedMs: number;
  /** Aborted with the error to report when the client goes away or the coordinator stops. */
  readonly signal: AbortSignal;
}

/**
 * Runs all choices at once and yields what each has to show, as it comes; nothing more is fetched from the fleet than is read here.
 * If one fails, the others are cancelled and its error is thrown.
 */
export async function* generate(asked: Asked, ports: GenerationPorts): AsyncGenerator<Delta, void> {
  const leave = ports.requestLimit.enter(asked.choices.length);
  const group = new AbortController();
  // One for each choice.
  setMaxListeners(asked.choices.length, group.signal);
  const unlink = linked(asked.signal, group);
  try {
    yield* merged(asked.choices.map((plan) => runChoice(plan, asked, ports, group.signal)));
  } catch (error) {
    // Whoever aborted knows why; those who noticed know only that.
    if (asked.signal.aborted && asked.signal.reason instanceof ShoalError) throw asked.signal.reason;
    throw error;
  } finally {
    unlink();
    group.abort(new Cancelled('the rest of the answer is not wanted'));
    leave();
  }
}

async function* runChoice(
  plan: ChoicePlan,
  asked: Asked,
  { fleet, tokenizer, metrics, clock }: GenerationPorts,
  signal: AbortSignal,
): AsyncGenerator<Delta, void> {
  const choice = new Choice(plan, tokenizer);
  const meter = new ChoiceMeter(plan.index, asked, metrics, clock);
  const own = new AbortController();
  const unlink = linked(signal, own);
  try {
    for await (const event of fleet.generate(plan.request, own.signal)) {
      own.signal.throwIfAborted();
      const before = choice.completionTokens;
      const delta = choice.take(event);
      meter.saw(event, choice.completionTokens - before);
      if (delta !== null) yield delta;
      if (choice.finish === null) continue;
      own.abort(new Cancelled('the choice is complete'));
      return;
    }
    throw new InternalError(`The fleet ended the stream of ${plan.request.requestId} without saying why.`);
  } finally {
    unlink();
    meter.close();
  }
}

/** Aborts `child` when `parent` is. Returns what ends that: a controller of a short call must not hang on a signal that lives on. */
function linked(parent: AbortSignal, child: AbortController): () => void {
  const abort = () => child.abort(parent.reason);
  if (parent.aborted) abort();
  else parent.addEventListener('abort', abort, { once: true });
  return () => parent.removeEventListener('abort', abort);
}

/** Measures one choice. */
class ChoiceMeter {
  private state: 'waiting' | 'running' | 'closed' = 'waiting';
  private lastTokenMs: number | null = null;

  constructor(
    private readonly index: number,
    private readonly asked: Asked,
    private readonly metrics: RequestMetrics,
    private readonly clock: Clock,
  ) {
    metrics.waiting.add(1);
  }

  saw(event: FleetEvent, newTokens: number): void {
    if (event.type === 'start') this.started(event);
    if (newTokens > 0) this.generated(newTokens);
  }

  close(): void {
    this.enter('closed');
  }

  private started(event: Extract<FleetEvent, { type: 'start' }>): void {
    this.enter('running');
    this.asked.tally.started(this.index, event);
    this.metrics.queueSeconds.observe(event.queueMs / 1_000);
    for (const source of ['local', 'remote', 'computed'] satisfies TokenSource[]) {
      this.metrics.promptTokens.add(event.cached[source], { source });
    }
  }

  private generated(tokens: number): void {
    const now = this.clock.now();
    const sinceArrivalMs = now - this.asked.arrivedMs;
    if (this.asked.tally.generated(tokens, sinceArrivalMs))
      this.metrics.firstTokenSeconds.observe(sinceArrivalMs / 1_000);
    if (this.lastTokenMs !== null) this.metrics.interTokenSeconds.observe((now - this.lastTokenMs) / tokens / 1_000);
    this.lastTokenMs = now;
    this.metrics.generatedTokens.add(tokens);
  }

  private enter(state: 'running' | 'closed'): void {
    if (this.state === state) return;
    if (this.state === 'waiting') this.metrics.waiting.add(-1);
    if (this.state === 'running') this.metrics.running.add(-1);
    if (state === 'running') this.metrics.running.add(1);
    this.state = state;
  }
}
