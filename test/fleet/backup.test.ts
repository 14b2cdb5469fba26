import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync, watch } from 'node:fs';
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

  afterEach(async () => {
    await fleet?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const shoal = (url: string, ...args: string[]) =>
    spawn(process.execPath, [CLI, 'kv', ...args, '--url', url, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });

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

    const cut = shoal(fleet.ready.url, 'export', file);
    await new Promise<void>((resolve) => {
      const watcher = watch(folder, () => {
        if (!existsSync(`${file}.part`) || statSync(`${file}.part`).size < 3 * MiB) return;
        watcher.close();
        resolve();
      });
    });
    cut.kill('SIGKILL');
    await once(cut, 'exit');
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
      while ((await redis.dbsize()) < 5);
      cutImport.kill('SIGKILL');
      await once(cutImport, 'exit');
      const there = await redis.dbsize();
      const restored = await done(fleet!.ready.url, 'import', file);
      expect([restored.complete, restored.written + restored.present, restored.damaged]).toEqual([true, 60, 0]);
      expect(restored.present).toBeGreaterThanOrEqual(Math.min(there, 5));
      for (let at = 0; at < 60; at++) expect(valueNumber(at).equals((await redis.getBuffer(`k${at}`))!)).toBe(true);
    });
  });
});
