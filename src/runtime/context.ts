import { AsyncLocalStorage } from 'node:async_hooks';
import { InvalidRequest } from '../errors.js';
import type { Span } from '../trace/span.js';
import type { FleetClient } from './client/fleet-client.js';
import type { ActorHandle } from './client/handle-types.js';
import type { LogLine, Trace } from './messages.js';

/** The current call, as user code sees it. */

export interface CurrentCall {
  /** The fleet, to create actors, run tasks and store objects from within user code. */
  readonly fleet: FleetClient;
  /** A handle of the actor itself; null in a task. */
  readonly self: ActorHandle<object> | null;
  /** The same for all attempts of a call: an actor can recognize a repeated call by it. */
  readonly callId: string;
  /** 0 for the first attempt. */
  readonly attempt: number;
  /** Aborts when the caller cancels or is lost, the deadline passes, or the actor ends. Never aborts in a constructor. */
  readonly signal: AbortSignal;
  /** Milliseconds left at the start of the call; null without a deadline. */
  readonly deadlineMs: number | null;
  /** Ids of the GPUs that this actor or task was given. */
  readonly gpuIds: readonly string[];
  /** The header `traceparent` with which a request continues the trace of this call; null without a trace. */
  readonly traceparent: string | null;
}

/** Keeps an actor's console output. */
export interface Printer {
  print(level: LogLine['level'], text: string): void;
}

/** A call, with the runtime's own data about it. */
export interface CallScope {
  /** Whether the call has ended. What it has started, such as timers, may go on in its scope, but nothing waits for that. */
  isOver: boolean;
  readonly current: CurrentCall;
  readonly trace: Trace;
  /** The part of a trace that the call is. */
  readonly span: Span;
  /** Null in a task. */
  readonly printer: Printer | null;
}

const scopes = new AsyncLocalStorage<CallScope>();

/**
 * The call that runs now. To be asked before, between and after awaits of a method or task.
 * @throws InvalidRequest outside of actors and tasks
 */
export function current(): CurrentCall {
  const scope = scopes.getStore();
  if (scope) return scope.current;
  throw new InvalidRequest('current() must be called in a method of an actor or in a task');
}

/** The scope of the call that runs now, if any. */
export function currentScope(): CallScope | undefined {
  return scopes.getStore();
}

export function runInScope<T>(scope: CallScope, run: () => T): T {
  return scopes.run(scope, run);
}
