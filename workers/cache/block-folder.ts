import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { lstat, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlockKey } from '../../src/core/block.js';
import { Refused, Unavailable } from '../../src/errors.js';
import { lockFile } from '../../src/native/libc.js';
import { ForeignFolder, type OwnFolder, ownFolder } from '../../src/own-folder.js';

/** The folder of a disk tier's files, which belongs to one process at a time. */

/** The port: the files of a disk tier, by key. */
export interface BlockFiles {
  /** All files of blocks with their sizes, the oldest first. Calls `onStep` after each file. */
  list(onStep?: () => void): Promise<{ readonly key: BlockKey; readonly byteLength: number }[]>;
  /** Writes a whole file, or none. Rejects with the system's error. */
  write(key: BlockKey, parts: readonly Uint8Array[]): Promise<void>;
  /** Reads from `position` until `into` is full. False if the file is shorter, or missing. Rejects with `NoRegularFile`, or the system's error. */
  read(key: BlockKey, into: Uint8Array, position: number): Promise<boolean>;
  /** Does nothing if the file is missing. */
  remove(key: BlockKey): Promise<void>;
  /** Resolves if the disk takes a small file and gives it back. */
  probe(): Promise<void>;
  close(): Promise<void>;
}

/** Something that has the name of a block's file, and may never answer or lead elsewhere: a pipe, a device, a folder, a link. */
export class NoRegularFile extends Error {
  constructor(path: string) {
    super(`${path} is not a regular file`);
    this.name = 'NoRegularFile';
  }
}

const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } = constants;
/** Without `O_NONBLOCK` the opening of a pipe waits for its other end, and occupies a thread for as long. No link is followed to a file elsewhere. */
const PLAIN = O_NONBLOCK | O_NOFOLLOW;
const READING = O_RDONLY | PLAIN;
const WRITING = O_WRONLY | O_CREAT | O_EXCL | PLAIN;
const PROBING = O_RDWR | O_CREAT | O_TRUNC | PLAIN;
const LOCKING = O_WRONLY | O_CREAT | O_APPEND | PLAIN;

const ENDING = '.kv';
const UNFINISHED = '.kv-part';
const NAME = /^[0-9a-f]{64}\.kv$/;
const UNFINISHED_NAME = /^[0-9a-f]{64}\.kv-part$/;

/**
 * A folder of files of blocks, locked by one process at a time. A file is written under another name first, so that a process that is killed
 * meanwhile leaves a whole file or none. Files of other names are left alone.
 */
export class BlockFolder implements BlockFiles {
  /**
   * Opens the folder. A missing folder is made, for this user alone. The mode of an existing folder is kept; the files in it are for this user
   * alone in either case.
   * @param onDoubt told what lets other users put another folder in its place
   * @throws Refused if another process has locked it, if it belongs to another user, if others may write to it, or if it cannot be used; Unavailable if
   * its disk fails, perhaps for a time
   */
  static async open(path: string, onDoubt: (warning: string) => void = () => {}): Promise<BlockFolder> {
    const { path: real, warning, lock } = await lockedFolder(path);
    if (warning !== null) onDoubt(`--disk-cache-dir: ${warning}`);
    return new BlockFolder(real, lock);
  }

  private constructor(
    private readonly path: string,
    private lock: FileHandle,
  ) {}

  async list(onStep: () => void = () => {}): Promise<{ key: BlockKey; byteLength: number }[]> {
    const names = await readdir(this.path);
    for (const name of names) if (UNFINISHED_NAME.test(name)) await this.removeUnfinished(join(this.path, name));
    const found: { key: BlockKey; byteLength: number; writtenAtMs: number }[] = [];
    for (const name of names) {
      if (!NAME.test(name)) continue;
      const file = await unlessGone(lstat(join(this.path, name)));
      onStep();
      if (file === null) continue;
      found.push({ key: name.slice(0, -ENDING.length), byteLength: file.size, writtenAtMs: file.mtimeMs });
    }
    return found.sort((a, b) => a.writtenAtMs - b.writtenAtMs).map(({ key, byteLength }) => ({ key, byteLength }));
  }

  /** Makes the folder again if it was removed. */
  async write(key: BlockKey, parts: readonly Uint8Array[]): Promise<void> {
    try {
      await this.writeFile(key, parts);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      await this.makeAgain().catch((fault: unknown) => {
        throw fault instanceof Unavailable ? error : fault;
      });
      await this.writeFile(key, parts);
    }
  }

  private async writeFile(key: BlockKey, parts: readonly Uint8Array[]): Promise<void> {
    const unfinished = join(this.path, key + UNFINISHED);
    try {
      const file = await open(unfinished, WRITING, 0o600);
      try {
        for (const part of parts) await writeAll(file, part);
      } finally {
        await file.close();
      }
      await rename(unfinished, this.fileOf(key));
    } catch (error) {
      await this.removeUnfinished(unfinished);
      throw error;
    }
  }

  async read(key: BlockKey, into: Uint8Array, position: number): Promise<boolean> {
    const path = this.fileOf(key);
    const file = await unlessGone(open(path, READING)).catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'ELOOP' ? new NoRegularFile(path) : error;
    });
    if (file === null) return false;
    try {
      if (!(await file.stat()).isFile()) throw new NoRegularFile(path);
      for (let at = 0; at < into.byteLength; ) {
        const { bytesRead } = await file.read(into, at, into.byteLength - at, position + at);
        if (bytesRead === 0) return false;
        at += bytesRead;
      }
      return true;
    } finally {
      await file.close();
    }
  }

  async remove(key: BlockKey): Promise<void> {
    await rm(this.fileOf(key), { force: true });
  }

  async probe(): Promise<void> {
    const path = join(this.path, 'probe');
    const token = Buffer.from(`${process.pid} ${process.hrtime.bigint()}`);
    const file = await open(path, PROBING, 0o600);
    try {
      await writeAll(file, token);
      const { buffer } = await file.read(Buffer.alloc(token.byteLength), 0, token.byteLength, 0);
      if (!token.equals(buffer)) throw new Error(`${path} does not have the bytes that were written`);
    } finally {
      await file.close();
    }
    await rm(path, { force: true });
  }

  /** Unlocks the folder. */
  async close(): Promise<void> {
    await this.lock.close();
  }

  /** A failure does no harm: the next start tries again, and the next write of the block overwrites the file. */
  private async removeUnfinished(path: string): Promise<void> {
    await rm(path, { force: true }).catch(() => {});
  }

  private async makeAgain(): Promise<void> {
    const gone = this.lock;
    this.lock = (await lockedFolder(this.path)).lock;
    await gone.close();
  }

  private fileOf(key: BlockKey): string {
    return join(this.path, key + ENDING);
  }
}

/** Errors that say nothing against the folder, but something of its disk, or of this process, at the moment. */
const OF_THE_DISK: ReadonlySet<string> = new Set([
  ...['EROFS', 'EIO', 'ENOSPC', 'EDQUOT', 'ENODEV', 'ENOTCONN', 'ESTALE', 'ETIMEDOUT', 'EMFILE', 'ENFILE'],
]);

/** Makes the folder if it is missing, and locks it. @throws Refused, Unavailable as `BlockFolder.open` */
async function lockedFolder(path: string): Promise<OwnFolder & { readonly lock: FileHandle }> {
  try {
    const own = await ownFolder(path);
    const lock = await open(join(own.path, 'lock'), LOCKING, 0o600);
    if (lockFile(lock.fd)) return { ...own, lock };
    await lock.close();
  } catch (cause) {
    if (cause instanceof ForeignFolder) throw new Refused(`--disk-cache-dir: ${cause.message}`, { cause });
    const { code = '', message } = cause as NodeJS.ErrnoException;
    if (OF_THE_DISK.has(code)) throw new Unavailable(`--disk-cache-dir: cannot use ${path} now: ${message}`, { cause });
    throw new Refused(`--disk-cache-dir: cannot use ${path}: ${message}; give a folder that this user may write to`, {
      cause,
    });
  }
  throw new Refused(
    `--disk-cache-dir: another worker uses ${path}; give each worker a folder of its own, or end the other worker`,
  );
}

/** Null if the file is missing: another process may have removed it. */
async function unlessGone<T>(found: Promise<T>): Promise<T | null> {
  return found.catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
}

/** One `write` may write less than it is given, and only the next one rejects with the reason. */
async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.byteLength; ) {
    const { bytesWritten } = await file.write(bytes, at, bytes.byteLength - at);
    at += bytesWritten;
  }
}
