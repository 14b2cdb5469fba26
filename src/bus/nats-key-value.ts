import { setTimeout } from 'node:timers/promises';
import {
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  jetstream,
  jetstreamManager,
  StorageType,
  type StreamAPI,
  type StreamInfo,
} from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import { type Clock, SystemClock } from '../clock.js';
import { Overloaded, Unavailable } from '../errors.js';
import type { KeyValue, KeyValueEntry } from './key-value.js';
import { bucketFault, crowdedBucket, isRoomy, subjectsOf } from './nats-bucket-fault.js';
import { BucketSweep, isRemoval, type StoredValues } from './nats-bucket-sweep.js';
import type { NatsBus } from './nats-bus.js';
import { type BucketStore, isNamed, isRefusal, useStore } from './nats-store.js';
import { StoreState } from './store-state.js';
import type { BucketLimits, IsKept, Sweeping } from './transport.js';

/** Key-value buckets in NATS JetStream. */

/** Default limit on the size of a bucket. */
const KEY_VALUE_BYTES = 64 * 1024;
/** Default limit on the values of a bucket. */
const KEY_VALUE_COUNT = 1_024;
/** Default time limit for one request to the server. */
const KEY_VALUE_TIMEOUT_MS = 2_000;
/** Servers of a cluster that keep a bucket, so that it outlives one of them. */
const KEY_VALUE_REPLICAS = 3;
/** Attempts to create a bucket, which can fail if several processes create it at the same moment. */
const KEY_VALUE_ATTEMPTS = 5;
/** Pause after the first attempt to create a bucket; twice as long after the second, three times after the third, and so on. */
const KEY_VALUE_PAUSE_MS = 10;

export interface BucketOptions {
  /** Limit on the bucket's size, if it is created. */
  readonly maxBytes?: number;
  /** Limit on its values, and traces of removed ones, if it is created. */
  readonly maxValues?: number;
  /** Time limit for each request to the server. */
  readonly timeoutMs?: number;
  /** Learns whether the store answers. */
  readonly state?: StoreState;
  readonly clock?: Clock;
}

/**
 * A bucket of NATS JetStream, stored in the server's files; in a cluster of three servers or more, by three of them. If NATS loses the bucket,
 * the next use creates it again, empty. Names of buckets consist of letters, digits, `-` and `_`; keys may also contain `.`, `/` and `=`.
 */
export class NatsKeyValue implements KeyValue {
  private readonly sweep: BucketSweep;
  /** Values that this process is about to write within `withRoom`. */
  private readonly unwritten = { bytes: 0, messages: 0 };

  private constructor(
    private readonly store: BucketStore & BucketLimits,
    private opened: OpenedBucket,
    private readonly streams: StreamAPI,
    private readonly reopen: () => Promise<OpenedBucket>,
  ) {
    this.sweep = new BucketSweep(store.bucket);
  }

  /**
   * Opens a bucket, and creates it if necessary.
   * @throws Unsupported if JetStream is off or not allowed, Unavailable if it does not answer now; the methods of the bucket throw the same
   */
  static async open(
    bus: Pick<NatsBus, 'connection' | 'connected'>,
    bucket: string,
    {
      timeoutMs = KEY_VALUE_TIMEOUT_MS,
      maxBytes = KEY_VALUE_BYTES,
      maxValues = KEY_VALUE_COUNT,
      state = new StoreState(),
      clock = new SystemClock(),
    }: BucketOptions = {},
  ): Promise<NatsKeyValue> {
    const { connection } = bus;
    const store = { bucket, maxBytes, maxValues, connection, connected: () => bus.connected, state, clock };
    const options = { timeout: timeoutMs, checkAPI: false };
    const kvm = new Kvm(jetstream(connection, options));
    return useStore(store, 'read', async () => {
      const { streams } = await jetstreamManager(connection, options);
      const open = async () => {
        const replicas = connection.info?.cluster === undefined ? 1 : KEY_VALUE_REPLICAS;
        const opened = await openOrCreate(kvm, streams, { bucket, maxBytes, maxValues, replicas });
        if (replicas > 1) await replicate(streams, opened.kv, replicas);
        return opened;
      };
      return new NatsKeyValue(store, await open(), streams, open);
    });
  }

  get(key: string): Promise<KeyValueEntry | null> {
    return this.use('read', async (kv) => {
      const entry = await kv.get(key);
      if (entry === null || isRemoval(entry.operation)) return null;
      return { value: entry.value, revision: entry.revision, writtenMs: entry.created.getTime() };
    });
  }

  create(key: string, value: Uint8Array): Promise<boolean> {
    return this.use('write', (kv) => unlessChanged(kv.create(key, value)));
  }

  update(key: string, value: Uint8Array, revision: number): Promise<boolean> {
    return this.use('write', (kv) => unlessChanged(kv.update(key, value, revision)));
  }

  delete(key: string): Promise<void> {
    return this.use('write', (kv) => kv.delete(key));
  }

  /** A full bucket of nats-server 2.9.10 drops its oldest values, although it has to refuse new ones instead. */
  async withRoom<T>(bytes: number, write: () => Promise<T>): Promise<T> {
    this.unwritten.bytes += bytes;
    this.unwritten.messages++;
    try {
      if (!(await this.use('read', () => this.hasRoom()))) throw new Overloaded(crowdedBucket(this.store.bucket));
      return await write();
    } finally {
      this.unwritten.bytes -= bytes;
      this.unwritten.messages--;
    }
  }

  /** Notes whether the bucket takes values. If `sweeping` covers it, makes room in it if it is nearly full; see `BucketSweep`. */
  tend(sweeping: Sweeping, isKept: IsKept): Promise<number> {
    return this.use('read', async () => {
      const info = await this.describe();
      const mayErase = sweeping === 'any' || (sweeping === 'created' && info.created === this.opened.created);
      const erased = mayErase ? await this.sweep.run(storedValues(this.streams, this.store.bucket), info, isKept) : 0;
      if (erased > 0) await this.describe();
      return erased;
    });
  }

  /** Whether the values that are about to be written leave room. If not, erases traces of removed values, for the next attempt. */
  private async hasRoom(): Promise<boolean> {
    const info = await this.describe();
    if (isRoomy(info, this.unwritten)) return true;
    try {
      await this.sweep.run(storedValues(this.streams, this.store.bucket), info, () => true);
    } catch (error) {
      // Members without the right to erase leave it to coordinators.
      if (!isRefusal(error)) throw error;
    }
    return isRoomy(await this.describe(), this.unwritten);
  }

  private async describe(): Promise<StreamInfo> {
    const { bucket, state } = this.store;
    const info = await this.streams.info(streamOf(bucket));
    state.described(bucket, bucketFault(bucket, info, this.store));
    return info;
  }

  /** Uses the bucket. If NATS has lost it, creates it again first. */
  private use<T>(request: 'read' | 'write', act: (kv: KV) => Promise<T>): Promise<T> {
    return useStore(this.store, request, async () => {
      try {
        return await act(this.opened.kv);
      } catch (error) {
        if (!isMissing(error)) throw error;
        this.opened = await this.reopen();
        return act(this.opened.kv);
      }
    });
  }
}

/**
 * The server's error code if another stream has the bucket's subjects. The error is transient if two processes create the same bucket at
 * the same moment, as the members of a new fleet do, and permanent otherwise.
 */
const SUBJECTS_OVERLAP = 10065;
/** The server's error code if a bucket exists with other settings: another process has just created it with another number of replicas. */
const OTHER_SETTINGS = 10058;
/** The server's error codes if too few servers are there for the replicas. */
const TOO_FEW_SERVERS: readonly number[] = [10005, 10023, 10074];

interface Wanted extends BucketLimits {
  readonly bucket: string;
  readonly replicas: number;
}

interface OpenedBucket {
  readonly kv: KV;
  /** When this process created it, by the server's clock; null if it was there. */
  readonly created: string | null;
}

/** @throws Unavailable if the bucket is missing, and this user may not create it */
async function openOrCreate(kvm: Kvm, streams: StreamAPI, wanted: Wanted): Promise<OpenedBucket> {
  const { bucket } = wanted;
  if (await isThere(streams, bucket)) return { kv: await kvm.open(bucket), created: null };
  try {
    const { created } = await create(streams, wanted);
    return { kv: await kvm.open(bucket), created };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    throw new Unavailable(
      `cannot use the NATS bucket ${bucket}: it is missing, and this user of NATS may not create it; start a coordinator of the fleet, which does, or run shoal nats-buckets with its credentials`,
    );
  }
}

/** The server's error codes if a value to erase is not there any more. */
const VALUE_IS_GONE: readonly number[] = [10037, 10043, 10057];

function storedValues(streams: StreamAPI, bucket: string): StoredValues {
  const stream = streamOf(bucket);
  return {
    next: (query) => streams.getMessage(stream, query),
    erase: async (sequence) => {
      try {
        return await streams.deleteMessage(stream, sequence, false);
      } catch (error) {
        if (!hasCode(error, VALUE_IS_GONE)) throw error;
        return false;
      }
    },
  };
}

/** The stream of a bucket, as NATS names it. */
function streamOf(bucket: string): string {
  return `KV_${bucket}`;
}

async function isThere(streams: StreamAPI, bucket: string): Promise<boolean> {
  try {
    await streams.info(streamOf(bucket));
    return true;
  } catch (error) {
    if (!hasCode(error, [JetStreamApiCodes.StreamNotFound])) throw error;
    return false;
  }
}

async function create(streams: StreamAPI, { bucket, maxBytes, maxValues, replicas }: Wanted): Promise<StreamInfo> {
  let servers = replicas;
  for (let attempts = 1; ; attempts++) {
    try {
      return await streams.add({
        name: streamOf(bucket),
        subjects: subjectsOf(bucket),
        max_msgs_per_subject: 1,
        max_bytes: maxBytes,
        max_msgs: maxValues,
        discard: DiscardPolicy.New,
        storage: StorageType.File,
        num_replicas: servers,
        // A direct read could be answered by a replica that lags behind.
        allow_direct: false,
        // One message could empty it.
        deny_purge: true,
        allow_rollup_hdrs: false,
      });
    } catch (error) {
      if (attempts === KEY_VALUE_ATTEMPTS) throw error;
      if (servers > 1 && hasCode(error, TOO_FEW_SERVERS)) servers = 1;
      else if (hasCode(error, [SUBJECTS_OVERLAP, OTHER_SETTINGS])) await setTimeout(attempts * KEY_VALUE_PAUSE_MS);
      else throw error;
    }
  }
}

/**
 * Raises the number of servers that keep a bucket to `replicas`, if fewer were there when it was created. No effect while too few are there, or if
 * this user may not change buckets: another member may.
 */
async function replicate(streams: StreamAPI, kv: KV, replicas: number): Promise<void> {
  const { streamInfo } = await kv.status();
  if (streamInfo.config.num_replicas >= replicas) return;
  try {
    await streams.update(streamInfo.config.name, { num_replicas: replicas });
  } catch (error) {
    if (!(error instanceof JetStreamApiError) && !isRefusal(error)) throw error;
  }
}

/** Whether NATS has lost a bucket that was open. A message to a missing bucket has no subscriber, which the library takes for missing JetStream. */
function isMissing(error: unknown): boolean {
  return isNamed(error, 'JetStreamNotEnabled') || hasCode(error, [JetStreamApiCodes.StreamNotFound]);
}

function hasCode(error: unknown, codes: readonly number[]): boolean {
  return error instanceof JetStreamApiError && codes.includes(error.code);
}

/** Awaits a compare-and-set. Returns false if the server refuses it because the revision is outdated. */
async function unlessChanged(writing: Promise<number>): Promise<boolean> {
  const { StreamWrongLastSequence, StreamWrongLastSequenceUnknown } = JetStreamApiCodes;
  const codes: readonly number[] = [StreamWrongLastSequence, StreamWrongLastSequenceUnknown];
  try {
    await writing;
    return true;
  } catch (error) {
    if (hasCode(error, codes)) return false;
    throw error;
  }
}
