import { statfs } from 'node:fs/promises';
import { coordinatorBuckets } from '../../coordinator/buckets.js';
import { natsTransport } from '../../src/bus/nats-transport.js';
import type { Transport } from '../../src/bus/transport.js';
import { ShoalError } from '../../src/errors.js';
import { type NatsUser, natsInbox } from '../../src/fleet/nats-rights.js';
import { probeBucket } from '../../src/fleet/store-check.js';

/** Asks a nats-server whether its store works. */

/** A disk with less room than this counts as full. */
const ROOM_BYTES = 2 ** 20;
const ROOM_FILES = 16;
/** A key to read, whether or not it has a value. */
const ANY_KEY = 'charter';

export interface ProbedServer {
  readonly url: string;
  readonly namespace: string;
  /** A user with a coordinator's rights. */
  readonly user: Pick<NatsUser, 'user' | 'password'>;
}

export class StoreProbe {
  private readonly closing = new AbortController();
  private readonly transport: Promise<Transport | null>;

  constructor(private readonly server: ProbedServer) {
    const { url, namespace, user } = server;
    this.transport = natsTransport({
      ...{ url, ...user, name: 'shoal up', inbox: natsInbox(namespace, 'coordinator') },
      storePauseMs: 0,
      signal: this.closing.signal,
      onWaiting: () => undefined,
    }).catch(() => null);
  }

  /** Why the store does not work; null if it does, or if the server cannot be reached. `doubtful`: its disk has no room, or its folder is gone, so that reads prove little. */
  async fault(doubtful: boolean): Promise<string | null> {
    const transport = await this.transport;
    if (transport === null) return null;
    try {
      for (const [name, open] of coordinatorBuckets(transport, this.server.namespace).of) {
        if (doubtful || transport.storeFault?.()?.bucket === name) await probeBucket(open);
        else await (await open()).get(ANY_KEY);
      }
    } catch (error) {
      if (!(error instanceof ShoalError)) throw error;
    }
    return transport.storeFault?.()?.why ?? null;
  }

  async close(): Promise<void> {
    this.closing.abort();
    await (await this.transport)?.bus.close();
  }
}

/** The state of a store's folder for nats-server. `gone`: the folder was removed. */
export type StoreRoom = 'room' | 'full' | 'gone';

export async function roomForStore(dir: string): Promise<StoreRoom> {
  const disk = await statfs(dir).catch(() => null);
  if (disk === null) return 'gone';
  const { bavail, bsize, files, ffree } = disk;
  return bavail * bsize >= ROOM_BYTES && (files === 0 || ffree >= ROOM_FILES) ? 'room' : 'full';
}
