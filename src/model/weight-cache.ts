import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat, statfs, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import type { Clock } from '../clock.js';
import { Cancelled, Unavailable } from '../errors.js';
import { lockFile } from '../native/libc.js';
import { ForeignFolder, ownFolder } from '../own-folder.js';

/** A folder of weights in the form in which ONNX Runtime computes with them, for the workers of this host to map. */

/** Models whose weights are kept. */
const ENTRIES = 4;
/** An entry that was used within this time is never removed: a process may be about to map it. */
const RECENT_MS = 3_600_000;
const LEAST_BYTES = 64 * 2 ** 20;
const LOCK_POLL_MS = 100;
const PARTIAL = '.partial';
const SUMS = 'sha256.json';

const Sums = z.record(z.string(), z.string());

/** The folder, which all workers of this user may use at once. */
export class WeightCache {
  /** The size of the smallest model that is worth an entry. */
  readonly leastBytes: number;
  private readonly signal: AbortSignal | null;

  /** `signal` ends the wait for another process that builds. */
  constructor(
    readonly folder: string,
    private readonly clock: Clock,
    options: { leastBytes?: number; signal?: AbortSignal } = {},
  ) {
    this.leastBytes = options.leastBytes ?? LEAST_BYTES;
    this.signal = options.signal ?? null;
  }

  /**
   * The folder of the entry `key`, with the files that `build` wrote, verified by SHA-256. If it is missing, one process builds it, and the others
   * wait. An entry that is damaged is built again. A process that is killed while it builds leaves a partial entry, which the next build removes.
   * @param byteLength about how much `build` writes
   * @throws Cancelled if the signal ends the wait; Unavailable if the folder belongs to another user, or has no room; otherwise rejects with the error of the system or of `build`
   */
  async entry(key: string, byteLength: number, build: (folder: string) => Promise<void>): Promise<string> {
    const folder = join(this.folder, key);
    await this.requireOwn();
    if (await this.isWhole(folder)) return folder;
    const lock = await this.lock();
    try {
      if (await this.isWhole(folder)) return folder;
      await this.tidy(folder);
      await this.requireRoom(byteLength);
      await this.make(folder, build);
      return folder;
    } finally {
      await lock.close();
    }
  }

  private async make(folder: string, build: (folder: string) => Promise<void>): Promise<void> {
    const partial = `${folder}${PARTIAL}`;
    try {
      await mkdir(partial, { mode: 0o700 });
      await build(partial);
      const names = await readdir(partial);
      const sums = Object.fromEntries(
        await Promise.all(names.map(async (name) => [name, await sha256(join(partial, name))])),
      );
      await writeFile(join(partial, SUMS), JSON.stringify(sums));
      await rename(partial, folder);
    } finally {
      await rm(partial, { recursive: true, force: true });
    }
  }

  /** Whether the entry is there with all of its bytes. Marks it as used. */
  private async isWhole(folder: string): Promise<boolean> {
    try {
      await utimes(folder, new Date(), new Date());
      const sums = Sums.parse(JSON.parse(await readFile(join(folder, SUMS), 'utf8')));
      for (const [name, sum] of Object.entries(sums)) {
        if ((await sha256(join(folder, basename(name)))) !== sum) return false;
      }
      return true;
    } catch {
      return false;
    }
  }

  /** Removes what killed processes left, a damaged entry, and the entries beyond the limit that were not used for longest. */
  private async tidy(damaged: string): Promise<void> {
    await rm(damaged, { recursive: true, force: true });
    const names = await readdir(this.folder);
    const partial = names.filter((name) => name.endsWith(PARTIAL));
    const entries = await Promise.all(
      names
        .filter((name) => /^[0-9a-f]{64}$/.test(name))
        .map(async (name) => ({ name, usedMs: (await stat(join(this.folder, name))).mtimeMs })),
    );
    const old = entries
      .sort((a, b) => b.usedMs - a.usedMs)
      .slice(ENTRIES - 1)
      .filter(({ usedMs }) => Date.now() - usedMs > RECENT_MS);
    for (const name of [...partial, ...old.map((entry) => entry.name)]) {
      await rm(join(this.folder, name), { recursive: true, force: true });
    }
  }

  private async requireOwn(): Promise<void> {
    try {
      await ownFolder(this.folder);
    } catch (cause) {
      if (!(cause instanceof ForeignFolder)) throw cause;
      throw new Unavailable(`cannot keep weights in ${this.folder}: ${cause.message}`, { cause });
    }
  }

  private async requireRoom(byteLength: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.folder);
    if (bavail * bsize > byteLength) return;
    throw new Unavailable(
      `cannot keep weights in ${this.folder}: ${byteLength} bytes are needed, ${bavail * bsize} are free; set XDG_CACHE_HOME to a folder on a larger disk`,
    );
  }

  /** Waits for the lock of the folder. It ends with this process, however that ends. */
  private async lock(): Promise<{ close(): Promise<void> }> {
    const file = await open(join(this.folder, 'lock'), 'a', 0o600);
    try {
      while (!lockFile(file.fd)) {
        if (this.signal?.aborted) throw new Cancelled('the wait for the weights of another process was ended');
        await new Promise<void>((resolve) => this.clock.after(LOCK_POLL_MS, resolve));
      }
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  }
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash);
  return hash.digest('hex');
}
