import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Unavailable } from '../../src/errors.js';
import { LockedFolder } from './locked-folder.js';

// macOS limits the path of a Unix socket to 104 bytes, Linux to 108, including the file name and the final zero byte.
const LONGEST_FOLDER_BYTES = 80;

/** A folder for one run's sockets. */
export class RunDirectory {
  private constructor(private readonly folder: LockedFolder) {}

  /**
   * Makes a folder, after removing the folders of this user whose processes have ended.
   * @param base parent folder; the default is the system's folder for temporary files if a socket's path fits there, else /tmp
   * @throws Unavailable if no folder can be made there
   */
  static create(base: string = defaultBase()): RunDirectory {
    try {
      return new RunDirectory(LockedFolder.create(base, `shoal-${process.getuid?.() ?? 0}-`));
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

  /** Removes the folder and its content. Idempotent. */
  remove(): void {
    this.folder.remove();
  }
}

function defaultBase(): string {
  const base = tmpdir();
  return Buffer.byteLength(base) <= LONGEST_FOLDER_BYTES - 32 ? base : '/tmp';
}
