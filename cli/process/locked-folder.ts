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
import { basename, join } from 'node:path';
import { lockFile } from '../../src/native/libc.js';

const LOCK = 'lock';

/** How the names of this user's folders for temporary files begin. Each new one removes those that have no owner. */
export function ownPrefix(): string {
  return `shoal-${process.getuid?.() ?? 0}-`;
}

/**
 * A folder for temporary files, accessible to this user only, with a file whose lock its owners hold: this process, and the children that get the
 * lock's file descriptor. The system releases the lock when the last owner ends in any way. A process ID would not do: another container or PID
 * namespace that shares the folder for temporary files gives the same IDs to other processes.
 */
export class LockedFolder {
  private open = true;

  private constructor(
    readonly path: string,
    /** File descriptor of the lock. A child that inherits it owns the folder too. */
    readonly lock: number,
  ) {}

  /**
   * Makes a folder, after removing this user's ownerless folders with the same prefix.
   * @param name follows the prefix, and says what the folder is for
   * @throws the errors of the file system
   */
  static create(base: string, prefix: string, name = ''): LockedFolder {
    // Under another name until it is locked, so that no other process takes it for abandoned.
    const unlocked = mkdtempSync(join(base, `.${prefix}${name}`));
    const lock = openSync(join(unlocked, LOCK), constants.O_RDWR | constants.O_CREAT, 0o600);
    lockFile(lock);
    const path = join(base, basename(unlocked).slice(1));
    renameSync(unlocked, path);
    if (locksWork(path)) removeAbandoned(base, prefix);
    return new LockedFolder(path, lock);
  }

  /** Removes the folder if it has no owner and contains only its lock. For the children of its owner. */
  static removeIfAbandoned(path: string): void {
    const names = readdirOf(path).map(({ name }) => name);
    if (names.length === 1 && names[0] === LOCK) removeUnlessLocked(path);
  }

  /** Leaves the folder to the children that own it. */
  leave(): void {
    if (!this.open) return;
    this.open = false;
    closeSync(this.lock);
  }

  /** Removes the folder and its content. Idempotent. */
  remove(): void {
    if (!this.open) return;
    remove(this.path);
    this.leave();
  }
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

/** Removes a folder of this user if its lock is free. A folder without a lock file belongs to no run. */
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
