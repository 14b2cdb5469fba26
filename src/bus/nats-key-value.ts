import { setTimeout } from 'node:timers/promises';
import { JetStreamApiCodes, JetStreamApiError, jetstream, StorageType } from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import { Unavailable } from '../errors.js';
import type { KeyValue, KeyValueEntry } from './key-value.js';
import type { NatsBus } from './nats-bus.js';

/** Key-value buckets in NATS JetStream. */

/** Default limit on the size of a bucket. */
const KEY_VALUE_BYTES = 64 * 1024;
/** Default time limit for one request to the server. */
const KEY_VALUE_TIMEOUT_MS = 2_000;
/** Attempts to create a bucket, which can fail if several processes create it at the same moment. */
const KEY_VALUE_ATTEMPTS = 5;
/** Pause after the first attempt to create a bucket; twice as long after the second, three times after the third, and so on. */
const KEY_VALUE_PAUSE_MS = 10;

/**
 * A bucket of NATS JetStream, stored in the server's files. Names of buckets consist of letters, digits, `-` and `_`; keys may also contain
 * `.`, `/` and `=`.
 */
export class NatsKeyValue implements KeyValue {
  private constructor(
    private readonly bucket: string,
    private readonly kv: KV,
  ) {}

  /**
   * Opens a bucket, and creates it with at most `maxBytes` if necessary. `timeoutMs` bounds each request to the server.
   * @throws Unavailable if JetStream is off, not allowed or does not answer; the methods of the bucket throw the same
   */
  static async open(
    bus: Pick<NatsBus, 'connection'>,
    bucket: string,
    timeoutMs: number = KEY_VALUE_TIMEOUT_MS,
    maxBytes: number = KEY_VALUE_BYTES,
  ): Promise<NatsKeyValue> {
    const kvm = new Kvm(jetstream(bus.connection, { timeout: timeoutMs, checkAPI: false }));
    return orUnavailable(bucket, async () => new NatsKeyValue(bucket, await openOrCreate(kvm, bucket, maxBytes)));
  }

  get(key: string): Promise<KeyValueEntry | null> {
    return orUnavailable(this.bucket, async () => {
      const entry = await this.kv.get(key);
      return entry?.operation === 'PUT' ? { value: entry.value, revision: entry.revision } : null;
    });
  }

  create(key: string, value: Uint8Array): Promise<boolean> {
    return orUnavailable(this.bucket, () => unlessChanged(this.kv.create(key, value)));
  }

  update(key: string, value: Uint8Array, revision: number): Promise<boolean> {
    return orUnavailable(this.bucket, () => unlessChanged(this.kv.update(key, value, revision)));
  }

  delete(key: string): Promise<void> {
    return orUnavailable(this.bucket, () => this.kv.delete(key));
  }
}

/**
 * The server's error code if another stream has the bucket's subjects. The error is transient if two processes create the same bucket at
 * the same moment, as the members of a new fleet do, and permanent otherwise.
 */
const SUBJECTS_OVERLAP = 10065;

async function openOrCreate(kvm: Kvm, bucket: string, maxBytes: number): Promise<KV> {
  for (let attempts = 1; ; attempts++) {
    try {
      return await kvm.create(bucket, {
        history: 1,
        storage: StorageType.File,
        max_bytes: maxBytes,
        // A direct read could be answered by a replica that lags behind.
        allow_direct: false,
      });
    } catch (error) {
      const transient = error instanceof JetStreamApiError && error.code === SUBJECTS_OVERLAP;
      if (!transient || attempts === KEY_VALUE_ATTEMPTS) throw error;
      await setTimeout(attempts * KEY_VALUE_PAUSE_MS);
    }
  }
}

/** Awaits a compare-and-set. Returns false if the server refuses it because the revision is outdated. */
async function unlessChanged(writing: Promise<number>): Promise<boolean> {
  const { StreamWrongLastSequence, StreamWrongLastSequenceUnknown } = JetStreamApiCodes;
  const codes: readonly number[] = [StreamWrongLastSequence, StreamWrongLastSequenceUnknown];
  try {
    await writing;
    return true;
  } catch (error) {
    if (error instanceof JetStreamApiError && codes.includes(error.code)) return false;
    throw error;
  }
}

/** Runs `act`, and turns its errors into Unavailable. */
async function orUnavailable<T>(bucket: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Unavailable(
      `cannot use the NATS bucket ${bucket}: ${reason}; check that JetStream is on and that these credentials may use it`,
    );
  }
}
