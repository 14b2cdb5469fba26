import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Unavailable } from '../../src/errors.js';
import { LockedFolder, ownPrefix } from './locked-folder.js';

// macOS limits the path of a Unix socket to 104 bytes, Linux to 108, including the file name and the final zero byte.
const LONGEST_FOLDER_BYTES = 80;

/** A folder for one run's sockets. */
export class RunDirectory {
  private constructor(
    private readonly base: string,
    private folder: LockedFolder,
  ) {}

  /**
   * Makes a folder, after removing the folders of this user whose processes have ended.
   * @param base parent folder; the default is the system's folder for temporary files if a socket's path fits there, else /tmp
   * @throws Unavailable if no folder can be made there
   */
  static create(base: string = defaultBase()): RunDirectory {
    try {
      return new RunDirectory(base, makeFolder(base));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Unavailable(
        `cannot make a folder for sockets in ${base}: ${reason}; set TMPDIR to a folder that this user may write to`,
      );
    }
  }

  get path(): string {
    return this.folder.path;
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /**
   * Makes another folder if this one was removed, for example by a program that cleans the folder for temporary files. Open files of the old folder
   * keep working.
   */
  restore(): void {
    if (existsSync(this.path)) return;
    try {
      const gone = this.folder;
      this.folder = makeFolder(this.base);
      gone.leave();
    } catch {
      // The caller that needs a file there reports the error, and retries.
    }
  }

  /** Removes the folder and its content. Idempotent. */
  remove(): void {
    this.folder.remove();
  }
}

function makeFolder(base: string): LockedFolder {
  return LockedFolder.create(base, ownPrefix());
}

function defaultBase(): string {
  const base = tmpdir();
  return Buffer.byteLength(base) <= LONGEST_FOLDER_BYTES - 32 ? base : '/tmp';
}
