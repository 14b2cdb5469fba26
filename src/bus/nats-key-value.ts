import { setTimeout } from 'node:timers/promises';
import { JetStreamApiCodes, JetStreamApiError, jetstream, StorageType } from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import { Unavailable } from '../errors.js';
import type { KeyValue, KeyValueEntry } from './key-value.js';
import type { NatsBus } from './nats-bus.js';

/** A bucket of values that all of a fleet must see alike, and how long one question to it may take. */
const KEY_VALUE_BYTES = 64 * 1024;
const KEY_VALUE_TIMEOUT_MS = 2_000;
/** Processes that make the bucket at the same moment may get in each other's way: so often each tries, with one such pause after the first try, two after the next, ... */
const KEY_VALUE_ATTEMPTS = 5;
const KEY_VALUE_PAUSE_MS = 10;

/** A bucket of NATS JetStream, kept in the server's files. Names of buckets have letters, digits, `-` and `_`; keys also `.`, `/` and `=`. */
export class NatsKeyValue implements KeyValue {
  private constructor(
    private readonly bucket: string,
    private readonly kv: KV,
  ) {}

  /**
   * Opens a bucket, which is made if it is not there. `timeoutMs` bounds each question to the server.
   * @throws Unavailable, as does all that is asked of it later, where JetStream is off, not allowed, or does not answer
   */
  static async open(
    bus: Pick<NatsBus, 'connection'>,
    bucket: string,
    timeoutMs: number = KEY_VALUE_TIMEOUT_MS,
  ): Promise<NatsKeyValue> {
    const kvm = new Kvm(jetstream(bus.connection, { timeout: timeoutMs, checkAPI: false }));
    return reaching(bucket, async () => new NatsKeyValue(bucket, await make(kvm, bucket)));
  }

  get(key: string): Promise<KeyValueEntry | null> {
    return reaching(this.bucket, async () => {
      const entry = await this.kv.get(key);
      return entry?.operation === 'PUT' ? { value: entry.value, revision: entry.revision } : null;
    });
  }

  create(key: string, value: Uint8Array): Promise<boolean> {
    return reaching(this.bucket, () => unlessChanged(this.kv.create(key, value)));
  }

  update(key: string, value: Uint8Array, revision: number): Promise<boolean> {
    return reaching(this.bucket, () => unlessChanged(this.kv.update(key, value, revision)));
  }

  delete(key: string): Promise<void> {
    return reaching(this.bucket, () => this.kv.delete(key));
  }
}

/** What the server says to one of two who make the same stream at the same moment, as the members of a new fleet do; and for good, if another stream has the subjects. */
const SUBJECTS_OVERLAP = 10065;

async function make(kvm: Kvm, bucket: string): Promise<KV> {
  for (let attempts = 1; ; attempts++) {
    try {
      return await kvm.create(bucket, {
        history: 1,
        storage: StorageType.File,
        max_bytes: KEY_VALUE_BYTES,
        // Direct reads may be answered by a replica that lags behind.
        allow_direct: false,
      });
    } catch (error) {
      const again = error instanceof JetStreamApiError && error.code === SUBJECTS_OVERLAP;
      if (!again || attempts === KEY_VALUE_ATTEMPTS) throw error;
      await setTimeout(attempts * KEY_VALUE_PAUSE_MS);
    }
  }
}

/** The server refuses what was written on the ground of a revision that is over. */
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

async function reaching<T>(bucket: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Unavailable(
      `cannot use the bucket ${bucket} of NATS (${reason}): check that JetStream is on, and that these credentials may use it`,
    );
  }
}
