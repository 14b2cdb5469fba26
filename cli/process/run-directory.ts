import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// macOS limits the path of a Unix socket to 104 bytes, Linux to 108, including the file name and the final zero byte.
const LONGEST_FOLDER_BYTES = 80;

/** A folder for one run's sockets, accessible to this user only. Its name contains the id of the owning process. */
export class RunDirectory {
  private constructor(readonly path: string) {}

  /**
   * Makes a folder, after removing the folders whose process was killed.
   * @param base parent folder; the default is the system's folder for temporary files if a socket's path fits there, else /tmp
   */
  static create(base: string = defaultBase()): RunDirectory {
    const prefix = `shoal-${process.getuid?.() ?? 0}-`;
    for (const name of readdirSync(base)) {
      const owner = name.startsWith(prefix) ? /^(\d+)-\w+$/.exec(name.slice(prefix.length)) : null;
      if (owner && !isRunning(Number(owner[1])) && isOurs(join(base, name))) remove(join(base, name));
    }
    return new RunDirectory(mkdtempSync(join(base, `${prefix}${process.pid}-`)));
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** Removes the folder and its content. Idempotent. */
  remove(): void {
    remove(this.path);
  }
}

function defaultBase(): string {
  const base = tmpdir();
  return Buffer.byteLength(base) <= LONGEST_FOLDER_BYTES - 32 ? base : '/tmp';
}

function remove(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

function isOurs(path: string): boolean {
  try {
    return statSync(path).uid === process.getuid?.();
  } catch {
    return false;
  }
}
