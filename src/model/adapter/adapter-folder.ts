import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { Refused, Unavailable } from '../../errors.js';
import { ADAPTER_NAME_CHARS, type AdapterRef } from '../../protocol/adapter.js';

/** The folder with a fleet's adapters, one file each. Nothing but the names of files is trusted before the bytes have been read. */

const ENDING = '.onnx_adapter';
const NAME = new RegExp(`^[A-Za-z0-9][A-Za-z0-9._-]{0,${ADAPTER_NAME_CHARS - 1}}$`);
/** Limit on the files that are read: FlatBuffers cannot be larger. */
const FILE_BYTES = 2 ** 31 - 1;
/** Bytes that are read and hashed before the event loop runs other work: less than a millisecond of hashing. */
const PART_BYTES = 512 * 1024;

/** A file of the folder. */
export interface AdapterEntry {
  /** The adapter's name in the API. */
  readonly name: string;
  readonly file: string;
  readonly bytes: number;
  /** Changes with the file. */
  readonly mark: string;
}

export class AdapterFolder {
  constructor(readonly dir: string) {}

  /** The adapters of the folder by name; none if there is no folder. */
  async list(): Promise<AdapterEntry[]> {
    const files = await readdir(this.dir).catch(() => []);
    const found = await Promise.all(
      files.filter((file) => isAdapterFile(file)).map((file) => this.entry(file).catch(() => null)),
    );
    return found.filter((entry) => entry !== null).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws Refused if there is no such file, or it is too large */
  async entry(file: string): Promise<AdapterEntry> {
    const found = isAdapterFile(file) ? await stat(join(this.dir, file)).catch(() => null) : null;
    if (!found?.isFile()) throw new Refused(`there is no adapter ${file} in ${this.dir}`);
    if (found.size === 0 || found.size > FILE_BYTES)
      throw new Refused(`the adapter ${file} in ${this.dir} must have 1 to ${FILE_BYTES} bytes, got ${found.size}`);
    const mark = `${found.size} ${found.mtimeMs} ${found.ino}`;
    return { name: file.slice(0, -ENDING.length), file, bytes: found.size, mark };
  }

  /** The name of a file that a path of a client names: a file of this folder, by name or by path. Null for any other path. */
  fileOf(path: string): string | null {
    const whole = resolve(this.dir, path);
    return dirname(whole) === resolve(this.dir) && isAdapterFile(basename(whole)) ? basename(whole) : null;
  }

  /** SHA-256 of a file, in hex. */
  async fingerprint({ file }: Pick<AdapterEntry, 'file'>): Promise<string> {
    const hash = createHash('sha256');
    await this.reading(file, async (handle) => {
      const part = Buffer.allocUnsafe(PART_BYTES);
      for (let at = 0; ; ) {
        const { bytesRead } = await handle.read(part, 0, part.length, at);
        if (bytesRead === 0) return;
        hash.update(part.subarray(0, bytesRead));
        at += bytesRead;
      }
    });
    return hash.digest('hex');
  }

  /**
   * The bytes of an adapter.
   * @throws Unavailable if the folder does not have just these
   */
  async read({ name, file, bytes, fingerprint }: AdapterRef): Promise<Uint8Array> {
    const refuse = (why: string, cause?: unknown): never => {
      throw new Unavailable(
        `cannot load the adapter ${name}: ${join(this.dir, file)} ${why}; give all members the same --adapter-dir`,
        { cause },
      );
    };
    if (!isAdapterFile(file)) return refuse('is no name of an adapter');
    const whole = Buffer.allocUnsafe(Math.min(bytes, FILE_BYTES));
    const hash = createHash('sha256');
    const read = await this.reading(file, (handle) => fill(handle, whole, hash)).catch((cause) =>
      refuse('cannot be read', cause),
    );
    if (read !== bytes || hash.digest('hex') !== fingerprint) return refuse('has other bytes than the coordinator has');
    return whole;
  }

  /** Writes an adapter, whole or not at all. Replaces one of the same name. */
  async write(name: string, pieces: readonly Uint8Array[]): Promise<AdapterEntry> {
    checkAdapterName(name);
    await mkdir(this.dir, { recursive: true });
    const draft = join(this.dir, `.${name}-${process.pid}.part`);
    try {
      const handle = await open(draft, 'w');
      try {
        for (const piece of pieces) await handle.writeFile(piece);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(draft, join(this.dir, name + ENDING));
    } finally {
      await rm(draft, { force: true });
    }
    return this.entry(name + ENDING);
  }

  /** @throws Refused if there is no such adapter */
  async remove(name: string): Promise<void> {
    const { file } = await this.entry(name + ENDING);
    await rm(join(this.dir, file));
  }

  private async reading<T>(file: string, read: (handle: FileHandle) => Promise<T>): Promise<T> {
    const handle = await open(join(this.dir, file));
    try {
      return await read(handle);
    } finally {
      await handle.close();
    }
  }
}

/** Fills `whole` from a file, and hashes the bytes. Returns the number of bytes read: one more than fit if the file is longer. */
async function fill(handle: FileHandle, whole: Buffer, hash: Hash): Promise<number> {
  let at = 0;
  while (at < whole.length) {
    const { bytesRead } = await handle.read(whole, at, Math.min(PART_BYTES, whole.length - at), at);
    if (bytesRead === 0) return at;
    hash.update(whole.subarray(at, at + bytesRead));
    at += bytesRead;
  }
  const { size } = await handle.stat();
  return size;
}

/** @throws Refused if clients could not use the name */
export function checkAdapterName(name: string): void {
  if (NAME.test(name)) return;
  throw new Refused(
    `an adapter's name must be 1 to ${ADAPTER_NAME_CHARS} letters, digits, ".", "_" or "-", and begin with a letter or digit, got "${name}"`,
  );
}

function isAdapterFile(file: string): boolean {
  return file.endsWith(ENDING) && NAME.test(file.slice(0, -ENDING.length));
}
