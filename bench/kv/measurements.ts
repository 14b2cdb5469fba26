import type { KvServer } from './contenders.js';
import { RespLane, type RespTarget } from './resp-lane.js';

/** One measurement: a command on values of one size, over some connections of one transport. */
export interface Measurement {
  readonly command: 'get' | 'set';
  readonly bytes: number;
  readonly connections: number;
  readonly transport: 'tcp' | 'unix';
}

const KiB = 1024;
const MiB = 1024 * KiB;
const SIZES = [KiB, 64 * KiB, MiB, 4 * MiB, 16 * MiB];
const CONNECTIONS = [1, 8];

/** Every command at every size, number of connections and transport. */
export function measurements(): Measurement[] {
  return (['tcp', 'unix'] as const).flatMap((transport) =>
    SIZES.flatMap((bytes) =>
      CONNECTIONS.flatMap((connections) =>
        (['set', 'get'] as const).map((command) => ({ command, bytes, connections, transport })),
      ),
    ),
  );
}

export function labelOf({ command, bytes, connections, transport }: Measurement): string {
  const size = bytes >= MiB ? `${bytes / MiB} MiB` : `${bytes / KiB} KiB`;
  return `${transport} ${command.toUpperCase()} ${size}, ${connections} ${connections === 1 ? 'connection' : 'connections'}`;
}

const now = () => performance.now();

/** The connections to one server over one transport. Each caller uses one at a time. */
export class Lanes {
  private constructor(private readonly lanes: readonly RespLane[]) {}

  static async dial(server: KvServer, transport: Measurement['transport']): Promise<Lanes> {
    const target: RespTarget =
      transport === 'tcp' ? { host: '127.0.0.1', port: server.port } : { path: server.socketPath };
    return new Lanes(await Promise.all(Array.from({ length: Math.max(...CONNECTIONS) }, () => RespLane.dial(target))));
  }

  /** Writes the values that are read later: each connection has its own. */
  async fill(): Promise<void> {
    for (const bytes of SIZES) {
      const value = Buffer.alloc(bytes, 'shoal');
      await Promise.all(this.lanes.map((lane, at) => lane.set(keyOf(bytes, at), value)));
    }
  }

  /** Commands per second. */
  async measure({ command, bytes, connections }: Measurement, forMs: number): Promise<number> {
    const value = Buffer.alloc(bytes, 'shoal');
    const startMs = now();
    let done = 0;
    const client = async (lane: RespLane, at: number) => {
      const key = keyOf(bytes, at);
      do {
        if (command === 'set') await lane.set(key, value);
        else await lane.get(key, bytes);
        done++;
      } while (now() - startMs < forMs);
    };
    await Promise.all(this.lanes.slice(0, connections).map(client));
    return (1000 * done) / (now() - startMs);
  }

  close(): void {
    for (const lane of this.lanes) lane.close();
  }
}

function keyOf(bytes: number, connection: number): string {
  return `bench:${bytes}:${connection}`;
}
