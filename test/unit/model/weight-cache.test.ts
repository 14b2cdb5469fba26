import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, chmod, mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Deferred } from '../../../src/async/deferred.js';
import { SystemClock } from '../../../src/clock.js';
import { Cancelled, Unavailable } from '../../../src/errors.js';
import { WeightCache } from '../../../src/model/weight-cache.js';
import { scratchFolder } from './folders.js';

const key = (i: number) => String(i).padStart(64, '0');

async function openCache(): Promise<{ cache: WeightCache; folder: string }> {
  const folder = join(await scratchFolder(), 'weights');
  return { cache: new WeightCache(folder, new SystemClock()), folder };
}

/** Writes one file, and counts how often it was asked to. */
function builder(text = 'weights') {
  const builds: string[] = [];
  const build = async (into: string) => {
    builds.push(into);
    await writeFile(join(into, 'weights.bin'), text);
  };
  return { builds, build };
}

describe('a cache of weights', () => {
  it('builds an entry once, for all that want it at the same time', async () => {
    const { folder } = await openCache();
    const { builds, build } = builder();
    const caches = Array.from({ length: 4 }, () => new WeightCache(folder, new SystemClock()));
    const paths = await Promise.all(caches.map((cache) => cache.entry(key(1), 10, build)));
    expect(builds).toHaveLength(1);
    expect(new Set(paths)).toEqual(new Set([join(folder, key(1))]));
    expect(await readFile(join(folder, key(1), 'weights.bin'), 'utf8')).toBe('weights');
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
  });

  it('builds a damaged entry again', async () => {
    const { cache } = await openCache();
    const { builds, build } = builder();
    const entry = await cache.entry(key(1), 10, build);
    for (const damage of [
      () => writeFile(join(entry, 'weights.bin'), 'WEIGHTS'),
      () => appendFile(join(entry, 'weights.bin'), '!'),
      () => rm(join(entry, 'weights.bin')),
      () => writeFile(join(entry, 'sha256.json'), '{'),
    ]) {
      await damage();
      const before = builds.length;
      await cache.entry(key(1), 10, build);
      expect(builds).toHaveLength(before + 1);
      expect(await readFile(join(entry, 'weights.bin'), 'utf8')).toBe('weights');
    }
  });

  it('leaves nothing of a build that fails', async () => {
    const { cache, folder } = await openCache();
    const failing = async (into: string) => {
      await writeFile(join(into, 'weights.bin'), 'half');
      throw new Error('no');
    };
    await expect(cache.entry(key(1), 10, failing)).rejects.toThrow('no');
    expect(await readdir(folder)).toEqual(['lock']);
  });

  it('removes what a process left that was killed while it built, and does not wait for it', async () => {
    const { cache, folder } = await openCache();
    await mkdir(folder, { mode: 0o700 });
    const partial = join(folder, `${key(1)}.partial`);
    // Holds the lock as a builder does, and leaves half of an entry.
    const script = `mkdir "$2" && echo half > "$2/weights.bin" && echo ready && exec sleep 600`;
    const child = spawn('flock', [join(folder, 'lock'), 'sh', '-c', script, 'sh', '-', partial], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    await once(child.stdout, 'data');
    const { builds, build } = builder();
    const entry = cache.entry(key(2), 10, build);
    const exited = once(child, 'exit');
    process.kill(-child.pid!, 'SIGKILL');
    await exited;
    await entry;
    expect(builds).toHaveLength(1);
    expect((await readdir(folder)).sort()).toEqual([key(2), 'lock']);
  });

  it('ends the wait for another builder when the process is to leave', async () => {
    const { cache, folder } = await openCache();
    const leaving = new AbortController();
    const waiting = new WeightCache(folder, new SystemClock(), { signal: leaving.signal });
    const { builds, build } = builder();
    const gate = new Deferred<void>();
    const building = new Deferred<void>();
    const first = cache.entry(key(1), 10, async (into) => {
      building.resolve();
      await gate.promise;
      await build(into);
    });
    await building.promise;
    const second = waiting.entry(key(1), 10, build);
    leaving.abort();
    await expect(second).rejects.toThrow(Cancelled);
    gate.resolve();
    await first;
    expect(builds).toHaveLength(1);
  });

  it('keeps four entries, and those of the last hour', async () => {
    const { cache, folder } = await openCache();
    const { build } = builder();
    for (let i = 0; i < 6; i++) await cache.entry(key(i), 10, build);
    expect((await readdir(folder)).filter((name) => name !== 'lock')).toHaveLength(6);
    for (let i = 0; i < 6; i++) {
      const used = new Date(Date.now() - 3_600_000 * (10 - i));
      await utimes(join(folder, key(i)), used, used);
    }
    await cache.entry(key(0), 10, build);
    await cache.entry(key(7), 10, build);
    expect((await readdir(folder)).sort()).toEqual([key(0), key(4), key(5), key(7), 'lock']);
  });

  it('refuses a folder that others may write to, and a disk without room', async () => {
    const { cache, folder } = await openCache();
    const { builds, build } = builder();
    const tooMuch = cache.entry(key(1), 1e18, build);
    await expect(tooMuch).rejects.toThrow(Unavailable);
    await expect(tooMuch).rejects.toThrow(/1000000000000000000 bytes are needed, \d+ are free/);
    await chmod(folder, 0o777);
    await expect(cache.entry(key(1), 10, build)).rejects.toThrow(
      /^cannot keep weights in .*: others may write to .* \(mode 777\)/,
    );
    expect(builds).toEqual([]);
  });
});
