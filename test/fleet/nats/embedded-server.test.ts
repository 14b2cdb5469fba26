import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, watch } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EmbeddedServer, startNatsServer } from '../../../cli/nats/embedded-server.js';
import { findNatsServer } from '../../../cli/nats/find-server.js';
import { connectNats } from '../../../src/bus/nats-connect.js';
import { Refused, Unavailable } from '../../../src/errors.js';

/** A separate process needs the module as built by `npm run build`. */
const BUILT = new URL('../../../dist/cli/nats/embedded-server.js', import.meta.url).href;

let path: string;
let base: string;

beforeAll(async () => {
  path = (await findNatsServer()).path;
  base = await mkdtemp(join(tmpdir(), 'shoal-test-'));
});

afterAll(() => rm(base, { recursive: true, force: true }));

describe('the embedded NATS server', () => {
  test('listens on loopback with credentials and JetStream, in a private folder', async () => {
    const server = await startNatsServer({ path, dir: base });
    try {
      const bus = await connectNats({ url: server.url, user: server.user, password: server.password });
      expect(bus.connection.info?.jetstream).toBe(true);
      expect(bus.connection.info?.host).toBe('127.0.0.1');
      await bus.close();
      expect(statSync(server.dir).mode & 0o777).toBe(0o700);
      expect(statSync(join(server.dir, 'nats.conf')).mode & 0o777).toBe(0o600);
    } finally {
      await server.stop();
    }
  });

  test('refuses a wrong password, and the error does not show it', async () => {
    const server = await startNatsServer({ path, dir: base });
    try {
      const wrong = connectNats({ url: `nats://${server.user}:sesame@127.0.0.1:${server.port}` });
      await expect(wrong).rejects.toThrow(Refused);
      await expect(wrong).rejects.not.toThrow('sesame');
    } finally {
      await server.stop();
    }
  });

  test('is gone, with its folder, after a stop; a second stop is harmless', async () => {
    const server = await startNatsServer({ path, dir: base });
    await server.stop();
    await server.stop();
    expect(existsSync(server.dir)).toBe(false);
    expect(isAlive(server.pid)).toBe(false);
    await expect(connectNats({ url: server.url })).rejects.toThrow(Unavailable);
  });

  test('reports when the server ends by itself', async () => {
    const server = await startNatsServer({ path, dir: base });
    process.kill(server.pid, 'SIGKILL');
    expect((await server.exited).code).toBe(128 + 9);
    await server.stop();
    expect(existsSync(server.dir)).toBe(false);
  });

  test("fails with the server's own reason if it does not start", async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const address = taken.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const started = startNatsServer({ path, dir: base, port });
    await expect(started).rejects.toThrow(/cannot start nats-server: .*address already in use/);
    await expect(startNatsServer({ path: '/no/such/server', dir: base })).rejects.toThrow(Unavailable);
    taken.close();
  });

  test.runIf(process.platform === 'linux')(
    'removes at its start the folders whose server was killed with its guard, and no others',
    async () => {
      const home = await mkdtemp(join(base, 'left-'));
      const killed = await startNatsServer({ path, dir: home });
      const running = await startNatsServer({ path, dir: home });
      await mkdir(join(home, 'shoal-nats-of-an-older-release'));
      await killWithGuard(killed);
      expect(existsSync(killed.dir)).toBe(true);
      // Its guard's watcher ends with it, and lets go of the lock.
      while (existsSync(killed.dir)) await (await startNatsServer({ path, dir: home })).stop();
      expect(existsSync(running.dir)).toBe(true);
      expect(existsSync(join(home, 'shoal-nats-of-an-older-release'))).toBe(true);
      await running.stop();
    },
  );

  test('ends with its parent, even if the parent is killed, and removes its folder', async () => {
    const home = await mkdtemp(join(base, 'killed-'));
    const script = `
      import { startNatsServer } from ${JSON.stringify(BUILT)};
      const { port, pid, dir } = await startNatsServer({ path: ${JSON.stringify(path)}, dir: ${JSON.stringify(home)} });
      console.log(JSON.stringify({ port, pid, dir }));
      setInterval(() => {}, 1000);
    `;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const server = JSON.parse(line.toString()) as Pick<EmbeddedServer, 'port' | 'pid' | 'dir'>;
    // A reset is an end, too.
    const socket = createConnection(server.port, '127.0.0.1')
      .resume()
      .on('error', () => {});
    await once(socket, 'connect');
    const folderGone = whenGone(server.dir, home);

    parent.kill('SIGKILL');
    await once(socket, 'close');
    await folderGone;
    expect(isAlive(server.pid)).toBe(false);
  });
});

/** Ends a server's guard, which cannot clean up then, and the server itself. */
async function killWithGuard(server: EmbeddedServer): Promise<void> {
  const guard = Number(/PPid:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))![1]);
  process.kill(guard, 'SIGKILL');
  process.kill(server.pid, 'SIGKILL');
  await server.exited;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function whenGone(path: string, parentDir: string): Promise<void> {
  const watcher = watch(parentDir);
  while (existsSync(path)) await once(watcher, 'change');
  watcher.close();
}
