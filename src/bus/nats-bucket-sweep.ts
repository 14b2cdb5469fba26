import type { IsKept } from './transport.js';

/** Frees the room in a bucket of NATS JetStream that values without use take. */

/** A bucket with less free room than this part of one of its limits is swept. */
const LEAST_FREE = 1 / 4;
/** Values that one sweep reads at most. */
const VALUES_PER_SWEEP = 4_000;

/** The values of a bucket on the server. */
export interface StoredValues {
  /** The first value from this sequence on; null if there is none. */
  next(query: { readonly seq: number; readonly next_by_subj: string }): Promise<StoredValue | null>;
  /** By its sequence, which no later value of the key has. False if the value has changed, or another process has erased it. */
  erase(sequence: number): Promise<boolean>;
}

/** What the server says of the stream of a bucket. Limits of 0 or below are none. */
export interface BucketInfo {
  readonly config: { readonly max_bytes: number; readonly max_msgs: number };
  readonly state: { readonly bytes: number; readonly messages: number; readonly last_seq: number };
}

/** The part of a bucket that is used: the greater one of its bytes and of its values. */
export function usedPart({ config, state }: BucketInfo): number {
  const of = (used: number, limit: number) => (limit > 0 ? used / limit : 0);
  return Math.max(of(state.bytes, config.max_bytes), of(state.messages, config.max_msgs));
}

interface StoredValue {
  readonly subject: string;
  readonly seq: number;
  readonly header: { get(name: string): string };
  readonly data: Uint8Array;
}

export class BucketSweep {
  /** The sequence of the first value that was not read yet. */
  private next = 0;
  /** The last sequence when a sweep reached the end: until others come, another sweep would erase nothing. */
  private sweptTo = 0;
  private readonly prefix: string;

  constructor(bucket: string) {
    this.prefix = `$KV.${bucket}.`;
  }

  /**
   * If the bucket is nearly full, erases the traces of removed values, and the values that are not to be kept. Each call goes on where the last one
   * ended. A value that changes meanwhile stays. Resolves with the number of erased ones; rejects with the library's errors.
   */
  async run(values: StoredValues, info: BucketInfo, isKept: IsKept): Promise<number> {
    const { state } = info;
    if (usedPart(info) <= 1 - LEAST_FREE || state.last_seq === this.sweptTo) return 0;
    let erased = 0;
    for (let read = 0; read < VALUES_PER_SWEEP; read++) {
      const query = { seq: this.next, next_by_subj: `${this.prefix}>` };
      const found = await values.next(query);
      if (found === null) {
        this.next = 0;
        this.sweptTo = state.last_seq;
        break;
      }
      this.next = found.seq + 1;
      if (!this.isOfUse(found, isKept) && (await values.erase(found.seq))) erased++;
    }
    return erased;
  }

  private isOfUse({ subject, header, data }: StoredValue, isKept: IsKept): boolean {
    return !isRemoval(header.get('KV-Operation')) && isKept(subject.slice(this.prefix.length), data);
  }
}

/** Whether the operation in an entry's headers says that its key was removed. Any other one, which anybody who may write can store, stands for a value. */
export function isRemoval(operation: string): boolean {
  return operation === 'DEL' || operation === 'PURGE';
}
