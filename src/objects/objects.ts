import type { Expiry, ObjectInfo, WriteCondition } from './object.js';
import type { ObjectName } from './object-name.js';
import type { ListPage, ReadOutcome, StoreUse, WriteOptions, WriteOutcome } from './object-node.js';
import type { ObjectValue } from './object-value.js';
import type { ReadFloors } from './read-floors.js';
import type { SharedOutcome } from './shared-object.js';

/** The port to the objects of the whole fleet, which any member offers to its clients. */

export type GetOutcome = Exclude<ReadOutcome, { type: 'same' }>;

export interface GetOptions {
  /** The first byte, and the byte after the last; null for all that follow. */
  readonly from?: number;
  readonly end?: number | null;
  /** The reads of this client so far. */
  readonly floors: ReadFloors;
}

/** All calls reject with `Unavailable` if no home can be reached in time, and with the reason of `signal`. */
export interface Objects {
  /** An object that has this process as first home; null if there is none, undefined if another process must be asked. */
  getNow(name: ObjectName): { readonly info: ObjectInfo; readonly value: ObjectValue } | null | undefined;
  get(name: ObjectName, options: GetOptions, signal: AbortSignal): Promise<GetOutcome>;
  /** Where a process on `host` finds an object in shared memory. */
  share(name: ObjectName, host: string, signal: AbortSignal): Promise<SharedOutcome>;
  /** The state of objects; null for a missing one. */
  look(names: readonly ObjectName[], signal: AbortSignal): Promise<readonly (ObjectInfo | null)[]>;
  /** Resolves when all live homes have the object. The caller keeps its reference to the value. Rejects with `Overloaded` if there is no room. */
  put(
    name: ObjectName,
    value: ObjectValue,
    options: Omit<WriteOptions, 'token'>,
    signal: AbortSignal,
  ): Promise<WriteOutcome>;
  remove(name: ObjectName, condition: WriteCondition, signal: AbortSignal): Promise<WriteOutcome>;
  retime(name: ObjectName, expiry: Expiry, condition: WriteCondition, signal: AbortSignal): Promise<WriteOutcome>;
  /** Keys of a space from a position on, each once. Page by page, it gives everything that is there all the time. */
  list(space: string, from: number, least: number, signal: AbortSignal): Promise<ListPage>;
  count(space: string, signal: AbortSignal): Promise<number>;
  /** The objects and bytes of all workers together: each copy counts. */
  use(signal: AbortSignal): Promise<StoreUse>;
  /** Drops all objects of a space. */
  flush(space: string, signal: AbortSignal): Promise<void>;
}
