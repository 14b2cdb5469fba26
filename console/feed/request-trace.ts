import type { EndedStep, FoundStep, PlacedStep, RequestStep, StartedStep } from '../../src/console/feed-messages.js';

/** One request as the console has seen it, from its steps. */
export interface RequestTrace {
  readonly id: number;
  /** Null if the page opened after it arrived. */
  readonly arrivedAt: number | null;
  readonly promptTokens: number | null;
  readonly placements: readonly PlacedStep[];
  readonly started: StartedStep | null;
  /** Null until the worker has told of it. */
  readonly found: FoundStep | null;
  readonly firstAt: number | null;
  readonly ended: EndedStep | null;
  /** Of the last step, without `found`, which comes late. */
  readonly at: number;
}

/** The trace after one more step. */
export function withStep(trace: RequestTrace | undefined, step: RequestStep): RequestTrace {
  const before = trace ?? emptyTrace(step.id);
  if (step.step === 'found') return { ...before, found: step };
  const known = { ...before, at: step.at };
  switch (step.step) {
    case 'arrived':
      return { ...known, arrivedAt: step.at, promptTokens: step.tokens };
    case 'placed':
      return { ...known, placements: [...known.placements, step] };
    case 'started':
      return { ...known, started: step };
    case 'first':
      return { ...known, firstAt: step.at };
    case 'ended':
      return { ...known, ended: step };
  }
}

/** The worker that has it now, or had it last; null before it was placed. */
export function workerOf(trace: RequestTrace): string | null {
  return trace.placements.at(-1)?.worker ?? trace.started?.worker ?? null;
}

/** Milliseconds from its arrival to its first token; null while there is none. */
export function firstTokenMs({ arrivedAt, firstAt }: RequestTrace): number | null {
  return arrivedAt === null || firstAt === null ? null : firstAt - arrivedAt;
}

function emptyTrace(id: number): RequestTrace {
  return {
    id,
    arrivedAt: null,
    promptTokens: null,
    placements: [],
    started: null,
    found: null,
    firstAt: null,
    ended: null,
    at: 0,
  };
}
