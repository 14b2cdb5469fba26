import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../clock.js';
import { lockFile } from '../native/libc.js';
import { makeFolder } from './cache-folder.js';
import { pause } from './hub-http.js';

const POLL_MS = 200;
const LOCKING = constants.O_RDWR | constants.O_CREAT;

/**
 * The exclusive right of one process of this host to download a blob. The kernel gives it up when the process ends, however it ends. The hub's
 * Python library locks the same file in the same way.
 */
export class BlobLock {
  /** Waits for the lock while its holder is alive. Calls `onWait` once if it has to wait. @throws Cancelled if `signal` aborts */
  static async acquire(path: string, clock: Clock, signal: AbortSignal, onWait: () => void): Promise<BlobLock> {
    await makeFolder(dirname(path));
    for (let waits = 0; ; waits++) {
      const lock = await BlobLock.tryAcquire(path);
      if (lock !== null) return lock;
      if (waits === 0) onWait();
      await pause(clock, POLL_MS, signal);
    }
  }

  /** Null if another process has the lock. */
  static async tryAcquire(path: string): Promise<BlobLock | null> {
    const file = await open(path, LOCKING, 0o644);
    if (lockFile(file.fd) && (await isStillAt(file, path))) return new BlobLock(file);
    await file.close();
    return null;
  }

  private constructor(private readonly file: FileHandle) {}

  release(): Promise<void> {
    return this.file.close();
  }
}

/** Other programs may remove a lock file when they release it: a lock on a removed file excludes no other process. */
async function isStillAt(file: FileHandle, path: string): Promise<boolean> {
  const [own, there] = await Promise.all([file.stat(), stat(path).catch(() => null)]);
  return there !== null && there.ino === own.ino && there.dev === own.dev;
}
