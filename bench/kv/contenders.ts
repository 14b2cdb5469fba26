import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { natsProgram } from '../../cli/nats/nats-process.js';
import { SystemRandom } from '../../src/random.js';
import { MemberFleet } from '../chaos/member-fleet.js';
import { ScratchFolder } from '../scratch-folder.js';
import { type RedisServer, startRedisServer } from './redis-server.js';

const CLI = fileURLToPath(new URL('../../cli/main.js', import.meta.url));

/** A server that keeps values for clients of the Redis protocol. */
export interface KvServer {
  readonly name: 'shoal' | 'redis-server';
  readonly port: number;
  readonly socketPath: string;
}

/** A fleet of one worker, and the redis-server of this machine, where there is one. */
export class KvContenders {
  private constructor(
    private readonly scratch: ScratchFolder,
    private readonly fleet: MemberFleet,
    readonly shoal: KvServer,
    readonly redis: (KvServer & Pick<RedisServer, 'stop'>) | null,
  ) {}

  static async start(progress: (line: string) => void): Promise<KvContenders> {
    const scratch = new ScratchFolder('bench');
    const { path: folder } = scratch;
    const socketPath = join(folder, 'shoal.sock');
    const natsServer = await natsProgram(null, progress);
    const workerArgs = ['--redis-port', '0', '--redis-socket', socketPath];
    const options = { workers: 1, coordinators: 1, replicas: 1, workerArgs };
    const fleet = new MemberFleet({ cli: CLI, natsServer, folder, random: new SystemRandom() }, options);
    try {
      await fleet.start();
      const serving = await fleet.members.get('worker-1')!.logged('"msg":"serving"');
      const { redis: address } = JSON.parse(serving) as { redis: string };
      const port = Number(address.slice(address.lastIndexOf(':') + 1));
      const redis = await startRedisServer(folder);
      return new KvContenders(
        scratch,
        fleet,
        { name: 'shoal', port, socketPath },
        redis && { name: 'redis-server', ...redis },
      );
    } catch (error) {
      await fleet.close();
      await scratch.remove();
      throw error;
    }
  }

  get httpUrl(): string {
    return this.fleet.api.url;
  }

  async stop(): Promise<void> {
    await this.redis?.stop();
    await this.fleet.close();
    await this.scratch.remove();
  }
}
