import { z } from 'zod';
import { NodeAddress } from '../../actors/envelope.js';
import type { CallOptions } from '../../actors/outgoing-call.js';
import { ACTOR_NAME_CHARS } from '../../limits.js';
import { ActorName, ConcurrencyGroups } from '../messages.js';
import { abortSignal, timeLimit } from './checked.js';
import type { ActorHandle } from './handle-types.js';

/** Handles of actors: their state, and the proxies that turn methods into calls. */

const Name = z.string().min(1).max(ACTOR_NAME_CHARS);

/** All that it takes to call an actor. Travels in messages. */
export const HandleState = z.strictObject({
  id: Name,
  class: Name,
  /** Methods that return streams. */
  streams: z.array(Name).max(64),
  /** The process that knows where the actor is; null: the record of its name does. */
  owner: NodeAddress.nullable(),
  name: ActorName.nullable(),
  maxTaskRetries: z.int().min(0),
  maxConcurrency: z.int().min(1),
  concurrencyGroups: ConcurrencyGroups,
});
export type HandleState = z.infer<typeof HandleState>;

/** Makes the calls of handles. */
export interface HandleCalls {
  call(to: HandleState, method: string, args: readonly unknown[], options: CallOptions): Promise<unknown>;
  flow(to: HandleState, method: string, args: readonly unknown[], options: CallOptions): AsyncIterable<unknown>;
  send(to: HandleState, method: string, args: readonly unknown[]): void;
  kill(to: HandleState, options: { readonly restart?: boolean }): Promise<void>;
}

/** The prototype of all handles, by which they differ from plain objects. */
class HandleTarget {
  /** Bound: the proxy calls it with itself. */
  readonly toString: () => string;

  constructor(label: string) {
    this.toString = () => label;
  }
}

type Method = (...args: readonly unknown[]) => unknown;

const states = new WeakMap<object, HandleState>();

/** The state of a handle; null if the object is not a handle. */
export function handleState(value: object): HandleState | null {
  return states.get(value) ?? null;
}

export function makeHandle<T>(state: HandleState, calls: HandleCalls): ActorHandle<T> {
  const methods = (options: CallOptions) =>
    methodProxy((method) =>
      state.streams.includes(method)
        ? (...args) => calls.flow(state, method, args, options)
        : (...args) => calls.call(state, method, args, options),
    );
  const sends = methodProxy(
    (method) =>
      (...args) =>
        calls.send(state, method, args),
  );
  const extras: Readonly<Record<string, unknown>> = {
    $id: state.id,
    $with: (options: CallOptions) => methods(checkedOptions(options)),
    $send: sends,
    $kill: (options: { readonly restart?: boolean } = {}) => calls.kill(state, options),
  };
  const plain = methods({});
  const target = new HandleTarget(`[ActorHandle ${state.class} ${state.id}]`);
  const handle = new Proxy(target, {
    get: (_, key) => {
      if (typeof key === 'string' && Object.hasOwn(extras, key)) return extras[key];
      if (isLocal(key)) return target[key as 'toString'];
      return plain[key as string];
    },
    set: () => false,
  });
  states.set(handle, state);
  return handle as unknown as ActorHandle<T>;
}

/** What JavaScript itself calls, as when a program prints or compares a handle. */
const LOCAL = ['toString', 'toLocaleString', 'valueOf', 'hasOwnProperty', 'isPrototypeOf', 'propertyIsEnumerable'];

function isLocal(key: string | symbol): boolean {
  return typeof key === 'string' && LOCAL.includes(key);
}

function checkedOptions(options: CallOptions): CallOptions {
  const { timeoutMs, signal } = options;
  return { ...options, timeoutMs: timeLimit(timeoutMs), signal: abortSignal(signal) };
}

/** An object whose properties are methods, each made when it is first asked for. It has no `then`, so that `await` does not take it for a promise. */
function methodProxy(make: (method: string) => Method): Record<string, Method> {
  const made: Record<string, Method> = Object.create(null);
  return new Proxy(made, {
    get(_, key) {
      if (typeof key !== 'string' || key === 'then' || key === 'toJSON') return undefined;
      if (isLocal(key)) return Object.prototype[key as 'toString'];
      made[key] ??= make(key);
      return made[key];
    },
    set: () => false,
  });
}
