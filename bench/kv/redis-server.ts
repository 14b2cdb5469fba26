import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { endWithUs } from '../../cli/process/end-with-us.js';
import { programOnPath } from './program-on-path.js';

export interface RedisServer {
  readonly port: number;
  readonly socketPath: string;
  stop(): Promise<void>;
}

/** Starts the redis-server of this machine, which keeps everything in memory alone. Null if there is none. */
export async function startRedisServer(folder: string): Promise<RedisServer | null> {
  const program = programOnPath('redis-server');
  if (program === null) return null;
  const port = await freePort();
  const socketPath = join(folder, 'redis-server.sock');
  const listen = ['--bind', '127.0.0.1', '--port', String(port), '--unixsocket', socketPath];
  const args = [...listen, '--save', '', '--appendonly', 'no', '--daemonize', 'no', '--dir', folder];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const stopWatching = child.pid === undefined ? () => undefined : endWithUs(child.pid);
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (/ready to accept connections/i.test(line)) resolve();
    });
    exited.then(() => reject(new Error('redis-server ended before it was ready')), reject);
  });
  const stop = async () => {
    stopWatching();
    child.kill('SIGKILL');
    await exited;
  };
  return { port, socketPath, stop };
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
