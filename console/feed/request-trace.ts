import type { EndedStep, FoundStep, PlacedStep, RequestStep, StartedStep } from '../../src/console/feed-messages.js';

/** One request as the console has seen it, from its steps. */
export interface RequestTrace {
  readonly id: number;
  /** Its client's name for it; null if it has none, or if the page did not see it arrive. */
  readonly request: string | null;
  /** Null if the page opened after it arrived. */
  readonly arrivedAt: number | null;
  readonly promptTokens: number | null;
  /** Its workers, one after another. */
  readonly attempts: readonly RequestAttempt[];
  readonly ended: EndedStep | null;
  /** Of the last step, without `found`, which comes late. */
  readonly at: number;
}

/** The part of a request that ran on one worker. */
export interface RequestAttempt {
  /** Null if the page opened after it was placed. */
  readonly placed: PlacedStep | null;
  readonly started: StartedStep | null;
  /** Null until the worker has told of it. */
  readonly found: FoundStep | null;
  /** The first token of this worker; null also if the page opened after it. */
  readonly firstAt: number | null;
}

const NO_ATTEMPT: RequestAttempt = { placed: null, started: null, found: null, firstAt: null };

/** The trace after one more step. */
export function withStep(trace: RequestTrace | undefined, step: RequestStep): RequestTrace {
  const before = trace ?? emptyTrace(step.id);
  const known = step.step === 'found' ? before : { ...before, at: step.at };
  switch (step.step) {
    case 'arrived':
      return { ...known, arrivedAt: step.at, promptTokens: step.tokens, request: step.request ?? null };
    case 'placed':
      return { ...known, attempts: [...known.attempts, { ...NO_ATTEMPT, placed: step }] };
    case 'started':
      return withLast(known, { started: step });
    case 'found':
      return withFound(known, step);
    case 'first':
      return withLast(known, { firstAt: step.at });
    case 'ended':
      return { ...known, ended: step };
    default:
      // A newer coordinator may tell more than this page knows.
      return before;
  }
}

function withLast(trace: RequestTrace, change: Partial<RequestAttempt>): RequestTrace {
  const last = trace.attempts.at(-1) ?? NO_ATTEMPT;
  return { ...trace, attempts: [...trace.attempts.slice(0, -1), { ...last, ...change }] };
}

/** A worker tells late: the request may have moved on. */
function withFound(trace: RequestTrace, found: FoundStep): RequestTrace {
  const of = trace.attempts.findLastIndex((attempt) => workerOfAttempt(attempt) === found.worker);
  return {
    ...trace,
    attempts: trace.attempts.map((attempt, index) => (index === of ? { ...attempt, found } : attempt)),
  };
}

/** The worker of an attempt; null if the page has seen neither its placement nor its start. */
export function workerOfAttempt({ placed, started }: RequestAttempt): string | null {
  return placed?.worker ?? started?.worker ?? null;
}

/** The worker that has it now, or had it last; null before it was placed. */
export function workerOf({ attempts }: RequestTrace): string | null {
  const last = attempts.at(-1);
  return last === undefined ? null : workerOfAttempt(last);
}

/** Milliseconds from its arrival to its first token; null while there is none, and if the page did not see both. */
export function firstTokenMs({ arrivedAt, attempts }: RequestTrace): number | null {
  const first = attempts.find(({ firstAt }) => firstAt !== null)?.firstAt ?? null;
  const sawAll = (attempts[0]?.placed?.resumed ?? 0) === 0;
  return arrivedAt === null || first === null || !sawAll ? null : first - arrivedAt;
}

/** Tokens of the answer that the attempt brought along from the workers before. */
export function resumedOf({ placed }: RequestAttempt): number {
  return placed?.resumed ?? 0;
}

/** The attempt that began the answer: its prompt has only the client's tokens. Undefined if none has started, or the page did not see it. */
export function promptAttempt({ attempts }: RequestTrace): RequestAttempt | undefined {
  return attempts.findLast((attempt) => attempt.started !== null && attempt.placed?.resumed === 0);
}

/** The request that its client calls so; undefined if the page has not seen it. */
export function traceOf(traces: ReadonlyMap<number, RequestTrace>, request: string): RequestTrace | undefined {
  return [...traces.values()].findLast((trace) => trace.request === request);
}

function emptyTrace(id: number): RequestTrace {
  return { id, request: null, arrivedAt: null, promptTokens: null, attempts: [], ended: null, at: 0 };
}
