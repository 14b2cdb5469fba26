/** What all of a fleet must see alike: few small values, each changed only by who knows the one before. NATS in production, memory in tests. */
export interface KeyValue {
  /** The value now, with its revision; null if there is none. */
  get(key: string): Promise<KeyValueEntry | null>;

  /** Sets a value where there is none. False if there is one: of many who try at once, one succeeds. */
  create(key: string, value: Uint8Array): Promise<boolean>;

  /** Puts another value in the place of the one that `get` gave with this revision. False if that is not the value any more. */
  update(key: string, value: Uint8Array, revision: number): Promise<boolean>;

  /** Removes the value. It is no error if there is none. */
  delete(key: string): Promise<void>;
}

/** Revisions of a key grow with each change, also over its removal. */
export interface KeyValueEntry {
  readonly value: Uint8Array;
  readonly revision: number;
}
