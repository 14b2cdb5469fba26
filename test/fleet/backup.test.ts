import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type FSWatcher, mkdtempSync, rmSync, statSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { CLI, Fleet } from './support/fleet.js';

const MiB = 2 ** 20;
const UP = ['--workers', '2', '--replicas', '2', '--redis-port', '0', '--object-bytes', '96MiB'];

/** The value of an object, by its number. */
function valueNumber(at: number): Buffer {
  return Buffer.alloc(at % 5 === 0 ? 2 * MiB + at : 100 + at, `value ${at} `);
}

describe('a restore drill', () => {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-drill-'));
  const file = join(folder, 'objects.kv');
  let fleet: Fleet | null = null;
  let watcher: FSWatcher | null = null;

  afterEach(async () => {
    watcher?.close();
    await fleet?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const shoal = (url: string, ...args: string[]) => {
    const child = spawn(process.execPath, [CLI, 'kv', ...args, '--url', url, '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    return Object.assign(child, { ended: once(child, 'exit') });
  };

  /** Kills a command in the middle of its work. One that was quicker than whoever looks at it has ended by itself. */
  const cutOff = async (command: ReturnType<typeof shoal>, inTheMiddle: Promise<void>) => {
    await Promise.race([inTheMiddle, command.ended]);
    command.kill('SIGKILL');
    await command.ended;
  };

  const done = async (url: string, ...args: string[]) => {
    const child = shoal(url, ...args);
    const text = Buffer.concat(await child.stdout.toArray()).toString();
    return JSON.parse(text);
  };

  const withRedis = async (use: (redis: Redis) => Promise<void>) => {
    const [host, port] = fleet!.ready.workers[0]!.redis!.split(':') as [string, string];
    const redis = new Redis(Number(port), host);
    await use(redis).finally(() => redis.disconnect());
  };

  it('brings all objects of a fleet that was killed into a new one, over two runs that were cut off', async () => {
    fleet = await Fleet.up(UP);
    await withRedis(async (redis) => {
      for (let at = 0; at < 60; at++) await redis.set(`k${at}`, valueNumber(at));
    });

    const begun = new Promise<void>((resolve) => {
      watcher = watch(folder, () => {
        const part = statSync(`${file}.part`, { throwIfNoEntry: false });
        if (part && part.size >= 3 * MiB) resolve();
      });
    });
    await cutOff(shoal(fleet.ready.url, 'export', file), begun);
    const written = await done(fleet.ready.url, 'export', file);
    expect([written.objects, written.gone]).toEqual([60, 0]);

    const { workers, coordinators, pid } = fleet.ready;
    for (const each of [pid, ...workers.map((worker) => worker.pid), ...coordinators.map((one) => one.pid)]) {
      process.kill(each, 'SIGKILL');
    }
    await fleet.stop();
    fleet = await Fleet.up(UP);

    const cutImport = shoal(fleet.ready.url, 'import', file);
    await withRedis(async (redis) => {
      const someThere = async () => {
        while (cutImport.exitCode === null && (await redis.dbsize()) < 5);
      };
      await cutOff(cutImport, someThere());
      const there = await redis.dbsize();
      const restored = await done(fleet!.ready.url, 'import', file);
      expect([restored.complete, restored.written + restored.present, restored.damaged]).toEqual([true, 60, 0]);
      expect(restored.present).toBeGreaterThanOrEqual(Math.min(there, 5));
      for (let at = 0; at < 60; at++) expect(valueNumber(at).equals((await redis.getBuffer(`k${at}`))!)).toBe(true);
    });
  });
});
