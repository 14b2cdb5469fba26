import type { Clock } from '../clock.js';
import { changedSettings, fullBucket, takenSubjects } from './nats-bucket-fault.js';
import type { StoreFault, StoreRequest } from './store-state.js';

/**
 * Tells a JetStream store that does not work, as on a full disk or in a cluster without a leader, from other failures of its requests. Decides by the
 * error codes of the server, which stay the same from version to version, and by the text only where a code stands for several causes.
 */

/** How long a server may take to answer a ping after its store did not answer, over a new connection if necessary. */
const PING_MS = 3_000;
const PING_PAUSE_MS = 100;

/** The server could not write. Also its answer if a bucket has reached a limit of its own or is being closed, which only the text tells. */
const STORE_FAILED = 10077;
const BUCKET_IS_FULL = /^maximum .*exceeded$/i;
const BEING_CLOSED = /^store is closed$/i;
/** A bucket takes no value of any size, or not those of this size: settings that shoal never gives it. Older servers report the latter as a write that failed. */
const CHANGED_SETTINGS: readonly number[] = [10054, 10109];
/** The values of a bucket go to another stream. */
const SUBJECTS_OVERLAP = 10065;
const VALUE_TOO_LARGE = /^message too? large$/i;
/** A bucket could not be created, for one of several reasons: only the text tells whether the disk is to blame. */
const NOT_CREATED: readonly number[] = [10049, 10051];
const NO_SPACE = /no space left|error creating store for stream/i;
/** The disk of the server, or what JetStream may use of it, has too little room. */
const NO_ROOM: readonly number[] = [10023, 10047];
/** The account has used up what it may store. */
const ACCOUNT_FULL = 10002;
/** The cluster, or the bucket in it, has no leader at the moment, or too few of its servers run. */
const NO_LEADER: readonly number[] = [10004, 10006, 10007, 10008, 10009, 10118, 10194];
/** JetStream is off in the server. */
const NOT_ENABLED = 10076;
/** JetStream is off for the account, or for all. */
export const NOT_ENABLED_FOR_ACCOUNT = 10039;

/** The part of a connection of the library that this needs. */
export interface ServerConnection {
  /** What the server said of itself when this process connected to it, `jetstream` among it if that was on then. */
  readonly info?:
    | { readonly server_id: string; readonly cluster?: string | undefined; readonly jetstream?: boolean | undefined }
    | undefined;
  getServer(): string;
  flush(): Promise<void>;
}

interface Circumstances {
  readonly bucket: string;
  readonly request: StoreRequest;
  /** The store has answered this process before. */
  readonly worked: boolean;
  /** The server that was asked. */
  readonly serverId: string | undefined;
}

/** The fault behind the error of a request to JetStream; null if the store is not to blame. */
export async function storeFault(
  error: unknown,
  connection: ServerConnection,
  clock: Clock,
  { bucket, request, worked, serverId }: Circumstances,
): Promise<StoreFault | null> {
  if (!(error instanceof Error)) return null;
  const server = `nats-server at ${connection.getServer()}`;
  const code = error.name === 'JetStreamApiError' && 'code' in error ? Number(error.code) : null;
  const isOff = error.name === 'JetStreamNotEnabled' || code === NOT_ENABLED || code === NOT_ENABLED_FOR_ACCOUNT;
  if (isOff) {
    if (!worked) return null;
    const why =
      connection.info?.jetstream === true ? `has turned JetStream off, ${AS_IF_FULL}; ${FREE_AND_RESTART}` : NEVER_ON;
    return { of: 'all', holdsUp: false, why: `${server} ${why}` };
  }
  if (code !== null) return faultOfCode(code, error.message, server, bucket);
  if (error.name !== 'TimeoutError' || !(await answers(connection, clock, serverId))) return null;
  const isAlone = connection.info?.cluster === undefined;
  const cluster = isAlone ? '' : ', or its cluster has no leader';
  // A store that has not answered yet may be starting, and a cluster choosing its leader.
  const holdsUp = worked && isAlone;
  // Newer servers leave only writes to a broken disk without an answer.
  const [of, what] =
    request === 'write' ? (['writes', 'writes to its store'] as const) : (['all', 'its store'] as const);
  const silence = request === 'write' ? 'does not confirm' : 'gets no answer from';
  return {
    of,
    holdsUp,
    why: `${server} answers, but ${silence} ${what}: ${AS_IF_FULL}${cluster}; ${FREE_AND_RESTART}`,
  };
}

/** The fault of the store that an error code of JetStream reports; null if the code reports none. @internal exported for tests. */
export function faultOfCode(code: number, reason: string, server: string, bucket: string): StoreFault | null {
  const couldNotWrite = code === STORE_FAILED;
  if (couldNotWrite && BEING_CLOSED.test(reason)) return null;
  if (couldNotWrite && BUCKET_IS_FULL.test(reason)) return { ...WRITES, why: fullBucket(bucket, reason) };
  if (CHANGED_SETTINGS.includes(code) || (couldNotWrite && VALUE_TOO_LARGE.test(reason)))
    return { ...WRITES, why: changedSettings(bucket, reason) };
  if (code === SUBJECTS_OVERLAP) return { ...WRITES, why: takenSubjects(bucket, reason) };
  if (couldNotWrite || (NOT_CREATED.includes(code) && NO_SPACE.test(reason)))
    return {
      ...WRITES,
      why: NO_SPACE.test(reason)
        ? `the disk of ${server} is full (${reason}); free space there, and it takes writes again`
        : `${server} cannot write to its disk (${reason}); free space there, or mend it, then restart nats-server`,
    };
  if (NO_ROOM.includes(code)) return { ...WRITES, why: `${server} has too little storage (${reason}); ${ROOM}` };
  if (code === ACCOUNT_FULL)
    return { ...WRITES, why: `the account at ${server} has no storage left (${reason}); raise its limits` };
  if (NO_LEADER.includes(code))
    return { of: 'all', holdsUp: false, why: `${server} has no leader for its store (${reason}); ${MAJORITY}` };
  return null;
}

const WRITES = { of: 'writes', holdsUp: false } as const;
const AS_IF_FULL = 'its disk may be full';
const FREE_AND_RESTART =
  'free space on the disk of its JetStream folder (store_dir), then restart it; "shoal up" restarts its own nats-server by itself';
/** A server that has been restarted without JetStream, or that turned it off before this process connected to it again. */
const NEVER_ON =
  'runs without JetStream: it was started without it, or has turned it off because its disk is full; put jetstream { store_dir: FOLDER } into its configuration, free space on the disk of that folder if there is none, then restart it';
const ROOM = 'free space on its disk, or set max_file_store in its configuration';
const MAJORITY = 'more than half of the servers of its cluster have to run';

/**
 * Whether this server answers pings, also on a new connection: the request that its store does not answer can hold up the connection. False if it is
 * another server, as after a restart.
 */
async function answers(connection: ServerConnection, clock: Clock, serverId: string | undefined): Promise<boolean> {
  const untilMs = clock.now() + PING_MS;
  const pinged = async (): Promise<boolean> => {
    while (clock.now() < untilMs) {
      const answered = await connection.flush().then(
        () => true,
        () => new Promise<boolean>((resolve) => clock.after(PING_PAUSE_MS, () => resolve(false))),
      );
      if (answered) return connection.info?.server_id === serverId;
    }
    return false;
  };
  return await new Promise<boolean>((resolve) => {
    const late = clock.after(PING_MS, () => resolve(false));
    void pinged().then((answered) => {
      late.cancel();
      resolve(answered);
    });
  });
}
