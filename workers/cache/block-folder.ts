import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlockKey } from '../../src/core/block.js';
import { Refused } from '../../src/errors.js';
import { lockFile } from '../../src/native/libc.js';

/** The files of a disk tier, by key. What a test puts in its way, it puts in here. */
export interface BlockFiles {
  /** All files of blocks that are there, the one that was written longest ago first, with their sizes. */
  list(): Promise<{ readonly key: BlockKey; readonly byteLength: number }[]>;
  /** Writes a whole file, or none. Rejects with what the system says. */
  write(key: BlockKey, parts: readonly Uint8Array[]): Promise<void>;
  /** Reads from `position` until `into` is full. False where the file is shorter, or not there. */
  read(key: BlockKey, into: Uint8Array, position: number): Promise<boolean>;
  /** Does nothing where there is none. */
  remove(key: BlockKey): Promise<void>;
  close(): Promise<void>;
}

const ENDING = '.kv';
const UNFINISHED = '.kv-part';
const NAME = /^[0-9a-f]{64}\.kv$/;
const WRITABLE_BY_OTHERS = 0o022;
/** May write wherever it likes, whoever is refused. */
const SUPERUSER = 0;
const UNFINISHED_NAME = /^[0-9a-f]{64}\.kv-part$/;

/**
 * A folder of files of blocks, which belongs to one process at a time. A file is written under another name first, so that whoever is killed
 * meanwhile leaves a whole one or none. Files of other names are left alone.
 */
export class BlockFolder implements BlockFiles {
  /**
   * Opens the folder. If it is not there it is made, for this user alone; one that is there stays as it is, and only its files of blocks are nobody
   * else's to read.
   * @throws Refused if another process has it, if it is another user's or others may write to it, or if it cannot be used
   */
  static async open(path: string): Promise<BlockFolder> {
    try {
      const made = await mkdir(path, { recursive: true, mode: 0o700 });
      if (made === undefined) await refuseWritable(path);
      const lock = await open(join(path, 'lock'), 'a', 0o600);
      if (lockFile(lock.fd)) return new BlockFolder(path, lock);
      await lock.close();
    } catch (cause) {
      if (cause instanceof Refused) throw cause;
      throw new Refused(
        `--disk-cache-dir is ${path}, which cannot be used: ${(cause as Error).message}. Give a folder that this user may write to.`,
        { cause },
      );
    }
    throw new Refused(
      `--disk-cache-dir is ${path}, which another worker uses: give every worker a folder of its own, or end the other one.`,
    );
  }

  private constructor(
    private readonly path: string,
    private readonly lock: FileHandle,
  ) {}

  async list(): Promise<{ key: BlockKey; byteLength: number }[]> {
    const names = await readdir(this.path);
    for (const name of names) if (UNFINISHED_NAME.test(name)) await this.removeUnfinished(join(this.path, name));
    const found: { key: BlockKey; byteLength: number; writtenAtMs: number }[] = [];
    for (const name of names) {
      if (!NAME.test(name)) continue;
      const file = await unlessGone(stat(join(this.path, name)));
      if (file === null) continue;
      found.push({ key: name.slice(0, -ENDING.length), byteLength: file.size, writtenAtMs: file.mtimeMs });
    }
    return found.sort((a, b) => a.writtenAtMs - b.writtenAtMs).map(({ key, byteLength }) => ({ key, byteLength }));
  }

  async write(key: BlockKey, parts: readonly Uint8Array[]): Promise<void> {
    const unfinished = join(this.path, key + UNFINISHED);
    try {
      const file = await open(unfinished, 'w', 0o600);
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
    const file = await unlessGone(open(this.fileOf(key), 'r'));
    if (file === null) return false;
    try {
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

  /** Lets another process have the folder. */
  async close(): Promise<void> {
    await this.lock.close();
  }

  /** What stays is in nobody's way: the next start tries again, and who writes the same block writes over it. */
  private async removeUnfinished(path: string): Promise<void> {
    await rm(path, { force: true }).catch(() => {});
  }

  private fileOf(key: BlockKey): string {
    return join(this.path, key + ENDING);
  }
}

/** Null where there is no such file, as another may have removed it. */
async function unlessGone<T>(found: Promise<T>): Promise<T | null> {
  return found.catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
}

/** Who may write to a folder can put something else in the place of what is in it. */
async function refuseWritable(path: string): Promise<void> {
  const { mode, uid } = await stat(path);
  const own = process.getuid?.() ?? uid;
  if (uid !== own && uid !== SUPERUSER) {
    throw new Refused(
      `--disk-cache-dir is ${path}, which belongs to user ${uid}, while this worker runs as user ${own}: give a folder of this worker's own, for example one in it that is not there yet, or make it that user's (chown ${own}).`,
    );
  }
  if ((mode & WRITABLE_BY_OTHERS) === 0) return;
  const octal = (mode & 0o7777).toString(8);
  throw new Refused(
    `--disk-cache-dir is ${path}, to which others may write (mode ${octal}): give a folder of this worker's own, for example one in it that is not there yet, or take the right to write to it from group and others (chmod go-w).`,
  );
}

/** `write` may take less than it is given, and says why only when it is called again. */
async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.byteLength; ) {
    const { bytesWritten } = await file.write(bytes, at, bytes.byteLength - at);
    at += bytesWritten;
  }
}
