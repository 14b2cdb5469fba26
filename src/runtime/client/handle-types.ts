import type { CallOptions } from '../../actors/outgoing-call.js';
import type { ObjectRef } from '../objects/object-ref.js';

/** The types of handles, derived from the user's classes and functions. */

/** An argument, or a reference to it: the callee gets the value. */
type Sendable<Args extends readonly unknown[]> = { [K in keyof Args]: Args[K] | ObjectRef<Args[K]> };

type Streamed<R> = R extends AsyncIterable<infer Item> ? Item : R extends Iterator<infer Item> ? Item : never;

/** A method of another process. Generators stream: their items are read with `for await`, and leaving the loop ends the generator. */
type RemoteMethod<F> = F extends (...args: infer Args) => infer R
  ? (...args: Sendable<Args>) => [Streamed<R>] extends [never] ? Promise<Awaited<R>> : AsyncIterable<Streamed<R>>
  : never;

/** The public methods of a class as they are called from elsewhere. */
export type Remote<T> = {
  readonly [K in keyof T as T[K] extends (...args: never[]) => unknown
    ? K extends string
      ? K
      : never
    : never]: RemoteMethod<T[K]>;
};

/** The public methods, without answers. */
type RemoteSends<T> = {
  readonly [K in keyof Remote<T>]: Remote<T>[K] extends (...args: infer Args) => unknown
    ? (...args: Args) => void
    : never;
};

/** The members of a handle besides the methods of its class. */
interface HandleExtras<T> {
  /** The id of the actor, unique in the fleet. */
  readonly $id: string;
  /** The same actor, called with a deadline or a signal. */
  $with(options: CallOptions): Remote<T>;
  /** Calls without an answer: they are lost where the actor is gone, and errors are only logged. */
  readonly $send: RemoteSends<T>;
  /** Ends the actor. With `restart` it is created again if it has restarts left. */
  $kill(options?: { readonly restart?: boolean }): Promise<void>;
}

/**
 * An actor somewhere in the fleet. A handle can be kept, sent in messages and used by others; it finds the actor again after a restart.
 * All methods return promises, and generators async iterables.
 */
export type ActorHandle<T> = Remote<T> & HandleExtras<T>;

/** A function that runs somewhere in the fleet and leaves its result there. */
export type RefFunction<F> = F extends (...args: infer Args) => infer R
  ? (...args: Sendable<Args>) => Promise<ObjectRef<Awaited<R>>>
  : never;

/** A function that runs somewhere in the fleet. */
export type RemoteFunction<F> = RemoteMethod<F>;
