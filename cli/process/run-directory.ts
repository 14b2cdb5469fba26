import {
  closeSync,
  constants,
  type Dirent,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Unavailable } from '../../src/errors.js';
import { lockFile } from '../../src/native/libc.js';

// macOS limits the path of a Unix socket to 104 bytes, Linux to 108, including the file name and the final zero byte.
const LONGEST_FOLDER_BYTES = 80;
const LOCK = 'lock';

/**
 * A folder for one run's sockets, accessible to this user only. Its process holds the lock of a file in it, which the system releases
 * when the process ends in any way. A process ID would not do: another container or PID namespace that shares the folder for temporary
 * files gives the same IDs to other processes.
 */
export class RunDirectory {
  private removed = false;

  private constructor(
    readonly path: string,
    private readonly lock: number,
  ) {}

  /**
   * Makes a folder, after removing the folders of this user whose processes have ended.
   * @param base parent folder; the default is the system's folder for temporary files if a socket's path fits there, else /tmp
   * @throws Unavailable if no folder can be made there
   */
  static create(base: string = defaultBase()): RunDirectory {
    try {
      const prefix = `shoal-${process.getuid?.() ?? 0}-`;
      // Under another name until it is locked, so that no other process takes it for abandoned.
      const unlocked = mkdtempSync(join(base, `.${prefix}`));
      const lock = openSync(join(unlocked, LOCK), constants.O_RDWR | constants.O_CREAT, 0o600);
      lockFile(lock);
      const path = join(base, basename(unlocked).slice(1));
      renameSync(unlocked, path);
      if (locksWork(path)) removeAbandoned(base, prefix);
      return new RunDirectory(path, lock);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Unavailable(
        `cannot make a folder for sockets in ${base}: ${reason}; set TMPDIR to a folder that this user may write to`,
      );
    }
  }

  /** Removes the folder if its process has ended and it contains nothing but its lock. For the children of that process. */
  static removeIfAbandoned(path: string): void {
    const names = readdirOf(path).map(({ name }) => name);
    if (names.length === 1 && names[0] === LOCK) removeUnlessLocked(path);
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** Removes the folder and its content. Idempotent. */
  remove(): void {
    if (this.removed) return;
    this.removed = true;
    remove(this.path);
    closeSync(this.lock);
  }
}

function defaultBase(): string {
  const base = tmpdir();
  return Buffer.byteLength(base) <= LONGEST_FOLDER_BYTES - 32 ? base : '/tmp';
}

/** Whether a held lock excludes others. Not every system and file system has such locks; without them nothing looks abandoned. */
function locksWork(held: string): boolean {
  const again = openSync(join(held, LOCK), constants.O_RDWR);
  try {
    return !lockFile(again);
  } finally {
    closeSync(again);
  }
}

function removeAbandoned(base: string, prefix: string): void {
  for (const entry of readdirOf(base)) {
    if (entry.isDirectory() && entry.name.startsWith(prefix)) removeUnlessLocked(join(base, entry.name));
  }
}

/** Removes a folder of this user whose lock nobody holds. A folder without a lock file belongs to no run. */
function removeUnlessLocked(path: string): void {
  let lock: number;
  try {
    lock = openSync(join(path, LOCK), constants.O_RDWR | constants.O_NOFOLLOW);
  } catch {
    return;
  }
  try {
    if (isOurs(path) && fstatSync(lock).isFile() && lockFile(lock)) remove(path);
  } catch {
    // Another process is removing it, or this one may not.
  } finally {
    closeSync(lock);
  }
}

function readdirOf(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch {
    return [];
  }
}

function remove(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

function isOurs(path: string): boolean {
  return statSync(path).uid === (process.getuid?.() ?? 0);
}
