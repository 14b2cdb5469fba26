import { setTimeout as pause } from 'node:timers/promises';
import type { StoreFault } from './store-state.js';

/** Tells a JetStream store that has stopped, as on a full disk, from other failures of its requests. */

/** How long a server may take to answer a ping after its store did not answer, over a new connection if necessary. */
const PING_MS = 3_000;
const PING_PAUSE_MS = 100;
/** What the server says of a message that it cannot write, and of a bucket that it cannot create. */
const NO_SPACE = /no space left|error creating store for stream/i;
/** The server's error code if the bucket would take more storage than JetStream may use. */
const STORAGE_EXCEEDED = 10047;

/** The part of a connection of the library that this needs. */
interface Connection {
  readonly info?: { readonly server_id: string; readonly cluster?: string | undefined } | undefined;
  getServer(): string;
  flush(): Promise<void>;
}

/** The fault behind the error of a request to JetStream; null if the store is not to blame. `worked`: the store has answered this process before. `serverId`: the server that was asked. */
export async function storeFault(
  error: unknown,
  connection: Connection,
  { worked, serverId }: { readonly worked: boolean; readonly serverId: string | undefined },
): Promise<StoreFault | null> {
  if (!(error instanceof Error)) return null;
  const server = `nats-server at ${connection.getServer()}`;
  if (error.name === 'JetStreamApiError') {
    const reason = error.message;
    if (NO_SPACE.test(reason))
      return {
        ...WRITES,
        why: `the disk of ${server} is full (${reason}); free space there, and it takes writes again`,
      };
    if ('code' in error && error.code === STORAGE_EXCEEDED)
      return { ...WRITES, why: `${server} has too little storage (${reason}); ${ROOM}` };
    return null;
  }
  if (error.name === 'JetStreamNotEnabled' && worked)
    return { of: 'all', holdsUp: false, why: `${server} has turned JetStream off, ${AS_IF_FULL}; ${FREE_AND_RESTART}` };
  if (error.name !== 'TimeoutError' || !(await answers(connection, serverId))) return null;
  const isAlone = connection.info?.cluster === undefined;
  const cluster = isAlone ? '' : ', or its cluster has no leader';
  // A store that has not answered yet may be starting, and a cluster choosing its leader.
  const holdsUp = worked && isAlone;
  return {
    of: 'all',
    holdsUp,
    why: `${server} answers, but its store does not: ${AS_IF_FULL}${cluster}; ${FREE_AND_RESTART}`,
  };
}

const WRITES = { of: 'writes', holdsUp: false } as const;
const AS_IF_FULL = 'its disk may be full';
const FREE_AND_RESTART =
  'free space on the disk of its JetStream folder (store_dir), then restart it; "shoal up" restarts its own nats-server by itself';
const ROOM = 'free space on its disk, or set max_file_store in its configuration';

/**
 * Whether this server answers pings, also on a new connection: the request that its store does not answer can hold up the connection. False if it is
 * another server, as after a restart.
 */
async function answers(connection: Connection, serverId: string | undefined): Promise<boolean> {
  const over = new AbortController();
  const late = pause(PING_MS, false, { signal: over.signal }).catch(() => false);
  const pinged = async (): Promise<boolean> => {
    while (!over.signal.aborted) {
      const answered = await connection.flush().then(
        () => true,
        () => pause(PING_PAUSE_MS, false),
      );
      if (answered) return connection.info?.server_id === serverId;
    }
    return false;
  };
  try {
    return await Promise.race([pinged(), late]);
  } finally {
    over.abort();
  }
}
