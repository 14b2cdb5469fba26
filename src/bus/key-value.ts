/**
 * The port for the few small values that a fleet shares, changed by compare-and-set. NATS JetStream implements it in production,
 * `MemoryKeyValue` in tests.
 */
export interface KeyValue {
  /** The current value with its revision; null if the key has none. */
  get(key: string): Promise<KeyValueEntry | null>;

  /** Sets the value of a key without one. Returns false if the key has a value: of concurrent attempts, one succeeds. */
  create(key: string, value: Uint8Array): Promise<boolean>;

  /** Replaces the value that `get` returned with this revision. Returns false if the value has changed since. */
  update(key: string, value: Uint8Array, revision: number): Promise<boolean>;

  /** Removes the value, if the key has one. */
  delete(key: string): Promise<void>;

  /**
   * Runs `write`, which adds so many bytes to the bucket, if the bucket stays well below its limits. Values that only replace others of their size need
   * no such check: they use the room that is kept free here. Absent where a bucket has no limits.
   * @throws Overloaded if there is too little room
   */
  withRoom?<T>(bytes: number, write: () => Promise<T>): Promise<T>;
}

/** A value, its revision, and when it was written. Revisions of a key grow with each change, including a removal. */
export interface KeyValueEntry {
  readonly value: Uint8Array;
  readonly revision: number;
  /** When the store took the value, by the store's clock, in milliseconds since 1970. */
  readonly writtenMs: number;
}
