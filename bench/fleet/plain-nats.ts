import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { endWithUs } from '../../cli/process/end-with-us.js';
import { Unavailable } from '../../src/errors.js';

export interface PlainNats {
  readonly url: string;
  readonly pid: number;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** A nats-server that shoal does not manage: on loopback, with these arguments and no credentials. */
export async function plainNats(path: string, args: readonly string[] = []): Promise<PlainNats> {
  const child = spawn(path, ['-a', '127.0.0.1', '-p', '-1', ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = once(child, 'exit');
  const stopWatching = child.pid === undefined ? () => undefined : endWithUs(child.pid);
  const port = await new Promise<string>((resolve, reject) => {
    let found = '';
    createInterface({ input: child.stderr }).on('line', (line) => {
      found = /Listening for client connections on .*:(\d+)/.exec(line)?.[1] ?? found;
      if (line.includes('Server is ready')) resolve(found);
    });
    exited.then(() => reject(new Unavailable('cannot start nats-server: it exited')), reject);
  });
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    stopWatching();
    child.kill(signal);
    await exited;
  };
  return { url: `nats://127.0.0.1:${port}`, pid: child.pid!, stop };
}
