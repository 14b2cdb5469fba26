import type { Expiry, ObjectInfo, ObjectSize, WriteCondition } from './object.js';
import type { ObjectHash, ObjectName } from './object-name.js';
import type { ObjectValue } from './object-value.js';
import type { SharedOutcome } from './shared-object.js';
import type { Version } from './version.js';

/** The port to the objects of one worker: what members ask of a home, and what homes ask of each other. */

export interface ReadOptions {
  /** The first byte, and the byte after the last; null for all bytes that follow. */
  readonly from: number;
  readonly end: number | null;
  /** The version that the reader has already: its bytes are not sent. */
  readonly have: Version | null;
  /** The only version that the reader wants; null for the newest. */
  readonly only: Version | null;
}

/** The newest version, whole. */
export const WHOLE: ReadOptions = { from: 0, end: null, have: null, only: null };

/** A part of a value, in memory that is free once it is released. */
export interface Piece {
  readonly bytes: Buffer;
  release(): void;
}

/** The bytes of an object that is being read, in order. */
export interface ObjectBody {
  /** The next piece; null after the last. Rejects with `Unavailable` if the rest cannot be had. */
  next(): Promise<Piece | null>;
  /** Nothing more is read. To be called once, also after the end and after an error. */
  close(): void;
}

export type ReadOutcome =
  | { readonly type: 'found'; readonly info: ObjectInfo; readonly body: ObjectBody }
  /** The object in the memory of this process; the reader has a reference to the value, and releases it. */
  | { readonly type: 'here'; readonly info: ObjectInfo; readonly value: ObjectValue }
  | { readonly type: 'same'; readonly info: ObjectInfo }
  | { readonly type: 'absent' };

export interface WriteOptions {
  readonly contentType: string | null;
  readonly fields: Readonly<Record<string, string>>;
  readonly expiry: Expiry;
  readonly condition: WriteCondition;
  /** Names the write: repeated, it finds that it is done. */
  readonly token: string;
}

/** `created`: there was no object before. `unmet`: the condition does not hold; `info` is the object's current state, or null for no object. */
export type WriteOutcome =
  | { readonly type: 'written'; readonly info: ObjectInfo; readonly created: boolean }
  | { readonly type: 'unmet'; readonly info: ObjectInfo | null };

/** A deletion, and a change of the metadata of a version. Both have their own version. */
export interface RemoveOptions {
  readonly condition: WriteCondition;
}

/** A new state of an object, as one home sends it to another. */
export type ObjectCopy =
  | { readonly type: 'value'; readonly name: ObjectName; readonly info: ObjectInfo; readonly value: ObjectValue }
  | { readonly type: 'deleted'; readonly name: ObjectName; readonly version: Version }
  /** The bytes of `of` under a new version and with another expiry. */
  | { readonly type: 'retimed'; readonly name: ObjectName; readonly of: Version; readonly info: ObjectInfo };

/** `newer`: a later version is there; `lacks`: the bytes have to be sent too; `full`: there is no room. */
export type CopyOutcome =
  | { readonly type: 'stored' }
  | { readonly type: 'newer'; readonly version: Version }
  | { readonly type: 'lacks' }
  | { readonly type: 'full' };

export interface ListPage {
  readonly keys: readonly Buffer[];
  /** The position of the next page; null after the last. */
  readonly next: number | null;
}

/** A worker's copies of objects, and the memory that they take. */
export interface StoreUse {
  readonly objects: number;
  readonly bytes: number;
  readonly budgetBytes: number;
  /** Copies that went since its start because their memory was needed. */
  readonly evicted: number;
}

/** An object or a deletion that a worker has. */
export interface Held {
  readonly hash: ObjectHash;
  readonly version: Version;
}

/** Digests of a home's objects in one of `parts` equal parts of the ring, restricted to objects that the asked worker is a home of too. */
export interface PartDigests {
  readonly epoch: string;
  readonly part: number;
  readonly parts: number;
  /** As in `RangeSummary`. */
  readonly digests: Uint8Array;
}

/** The buckets whose digests differ, ascending, and the bytes of its budget that the asked worker does not use. */
export interface Differing {
  readonly buckets: readonly number[];
  readonly freeBytes: number;
}

/** The calls that any member may make. */
export interface ObjectNode {
  /** The newest version, or the one that is asked for. Rejects with `Unavailable` if this worker is not a home of the object. */
  read(name: ObjectName, options: ReadOptions, signal: AbortSignal): Promise<ReadOutcome>;
  /** Where a process on `host` finds the newest version in shared memory. Rejects as `read` does. */
  share(name: ObjectName, host: string, signal: AbortSignal): Promise<SharedOutcome>;
  /** The state of objects; null for a missing one. Rejects as `read` does. */
  look(names: readonly ObjectName[], signal: AbortSignal): Promise<readonly (ObjectInfo | null)[]>;
  /**
   * Writes an object, and resolves when all live homes have it. The caller keeps its reference to the value. Rejects with `Overloaded` if there
   * is no room, and with `Unavailable` if this worker is not a home, or if it is not known which homes have the value.
   */
  write(name: ObjectName, value: ObjectValue, options: WriteOptions, signal: AbortSignal): Promise<WriteOutcome>;
  /** Deletes an object, and returns its last state. Rejects as `write` does. */
  remove(name: ObjectName, options: RemoveOptions, signal: AbortSignal): Promise<WriteOutcome>;
  /** Changes when an object expires. Rejects as `write` does. */
  retime(name: ObjectName, expiry: Expiry, condition: WriteCondition, signal: AbortSignal): Promise<WriteOutcome>;
  /** Keys of a space that this worker has, in the order of their hashes, from a position on. */
  list(space: string, from: number, least: number, signal: AbortSignal): Promise<ListPage>;
  /** The number of a space's objects that have this worker as first home. */
  count(space: string, signal: AbortSignal): Promise<number>;
  use(signal: AbortSignal): Promise<StoreUse>;
  /** Drops all objects of a space that are older than the version that the worker gives to this call. */
  flush(space: string, signal: AbortSignal): Promise<void>;
}

/** Room that a worker has set aside for one object. */
export interface Room {
  /** Gives the room back, unless an object has taken it. Idempotent. */
  free(): void;
}

/** The calls that homes make to each other. */
export interface ObjectPeer extends ObjectNode {
  /** The versions of objects and deletions that this worker has; null for an unknown name. */
  versions(names: readonly ObjectName[], signal: AbortSignal): Promise<readonly (Version | null)[]>;
  /** Takes a copy. */
  take(copy: ObjectCopy, signal: AbortSignal): Promise<CopyOutcome>;
  /** Which of these this worker has not, or only in an older version: their indices, ascending. */
  wanted(held: readonly Held[], signal: AbortSignal): Promise<readonly number[]>;
  /** The copies that this worker still has to make to `home`, as of its own ring, whose epoch is given; null if its ring is another. */
  owes(home: string, epoch: string, signal: AbortSignal): Promise<number | null>;
  /** Where this worker's objects differ from those of `home`; null if its ring is another, or if it is busy. */
  differing(home: string, own: PartDigests, signal: AbortSignal): Promise<Differing | null>;
}

/** A worker's own objects, for the server of the peer protocol: bytes come in only where there is room for them. */
export interface ObjectHost extends ObjectPeer {
  /** Null if there is no room. */
  reserve(name: ObjectName, size: ObjectSize): Room | null;
  /** @param room the reservation, which the caller frees afterwards */
  write(
    name: ObjectName,
    value: ObjectValue,
    options: WriteOptions,
    signal: AbortSignal,
    room?: Room,
  ): Promise<WriteOutcome>;
  take(copy: ObjectCopy, signal: AbortSignal, room?: Room): Promise<CopyOutcome>;
}
