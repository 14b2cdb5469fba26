import type { Call } from '../../actors/protocol.js';
import { InvalidRequest, Unavailable } from '../../errors.js';
import type { Span } from '../../trace/span.js';
import type { FleetClient } from '../client/fleet-client.js';
import type { ActorHandle } from '../client/handle-types.js';
import { type CallScope, type Printer, runInScope } from '../context.js';
import type { Outcome, Trace, WireValue } from '../messages.js';
import { packThrown } from '../values/error-value.js';

/** Runs user code for one call: in its scope, with unpacked arguments, and with its errors turned into an outcome. */

export interface Invocation {
  readonly fleet: FleetClient;
  /** A handle of the actor; null in a task. */
  readonly self: (() => ActorHandle<object>) | null;
  readonly gpuIds: readonly string[];
  readonly trace: Trace;
  readonly call: Pick<Call, 'signal' | 'deadlineMs'>;
  /** The caller ends it. */
  readonly span: Span;
  /** Null for a task. */
  readonly printer: Printer | null;
}

/** Runs code that returns one value. With `keep`, the value stays here, and the outcome is a reference to it. Never rejects. */
export async function invoke(
  invocation: Invocation,
  args: WireValue,
  run: (args: readonly unknown[]) => unknown,
  keep = false,
): Promise<Outcome> {
  const { values } = invocation.fleet;
  const scope = scopeOf(invocation);
  let held: Promise<unknown> | null = null;
  try {
    const { args: given, held: holding } = await values.unpackArguments(args);
    held = holding;
    const result = await runInScope(scope, () => run(given));
    return { type: 'value', value: keep ? values.packKept(result) : values.packResult(result) };
  } catch (error) {
    return { type: 'threw', error: packThrown(error) };
  } finally {
    scope.isOver = true;
    // With the answer, the caller gives its references up.
    if (held !== null) await held;
  }
}

/** Runs a generator. The iterable never throws: an error is its last item. */
export async function* invokeStream(
  invocation: Invocation,
  args: WireValue,
  run: (args: readonly unknown[]) => unknown,
): AsyncGenerator<Outcome> {
  const { values } = invocation.fleet;
  const scope = scopeOf(invocation);
  let iterator: AsyncIterator<unknown> | null = null;
  try {
    const { args: given, held } = await values.unpackArguments(args);
    iterator = iteratorOf(await runInScope(scope, () => run(given)));
    for (;;) {
      // A generator runs in the scope of the caller of `next`, so each step enters the call's scope again.
      const next = await runInScope(scope, () => iterator!.next());
      if (next.done) break;
      yield { type: 'value', value: values.packResult(next.value) };
    }
    iterator = null;
    if (held !== null) await held;
  } catch (error) {
    yield { type: 'threw', error: packThrown(error) };
  } finally {
    try {
      await iterator?.return?.();
    } finally {
      scope.isOver = true;
    }
  }
}

function iteratorOf(value: unknown): AsyncIterator<unknown> {
  if (typeof value === 'object' && value !== null) {
    if (Symbol.asyncIterator in value) return (value as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    if (Symbol.iterator in value) return syncIterator((value as Iterable<unknown>)[Symbol.iterator]());
  }
  throw new InvalidRequest('cannot stream the result: it is not an iterable');
}

function syncIterator(iterator: Iterator<unknown>): AsyncIterator<unknown> {
  return {
    next: async () => iterator.next(),
    return: async () => iterator.return?.() ?? { done: true, value: undefined },
  };
}

/** The error that user code threw, for a trace, named after its class. */
export function thrownIn(outcome: Outcome | null): unknown {
  if (outcome?.type === 'value') return undefined;
  return outcome === null ? new Unavailable('lost') : { name: outcome.error.name };
}

function scopeOf({ fleet, self, gpuIds, trace, call, span, printer }: Invocation): CallScope {
  const { deadlineMs } = call;
  const { traceparent } = span;
  const current = {
    ...{ fleet, gpuIds, deadlineMs, traceparent, callId: trace.id, attempt: trace.attempt },
    // Few methods ask for it.
    get self() {
      return self?.() ?? null;
    },
    get signal() {
      return call.signal;
    },
  };
  return { isOver: false, current, trace, span, printer };
}
