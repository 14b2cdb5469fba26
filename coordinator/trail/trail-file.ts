import { constants } from 'node:fs';
import { type FileHandle, lstat, open, rename, stat } from 'node:fs/promises';

/** A file of lines that is rotated by its size: FILE, then FILE.1, which is older, and so on. The only code that writes it. */

/** For its owner alone. */
const MODE = 0o600;
/** A link in the place of the file is not followed. */
const FLAGS = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;

export interface TrailFileOptions {
  readonly path: string;
  /** Limit on the size of one file. */
  readonly fileBytes: number;
  /** Limit on the files, the present one included. */
  readonly files: number;
}

export class TrailFile {
  private handle: FileHandle | null = null;
  private size = 0;
  /** Whether the file ends in the middle of a line, which a process that was killed, or the machine, left there. */
  private cutOff = false;

  constructor(private readonly options: TrailFileOptions) {}

  /** Opens or creates the file, readable for its owner alone. Rejects if that is not possible. */
  async open(): Promise<void> {
    if (this.handle !== null) return;
    const handle = await open(this.options.path, FLAGS, MODE);
    try {
      const found = await handle.stat();
      if (!found.isFile()) throw new Error(`${this.options.path} is not a regular file`);
      if ((found.mode & 0o777) !== MODE) await handle.chmod(MODE);
      this.size = found.size;
      this.cutOff = found.size > 0 && (await lastByte(handle, found.size)) !== NEWLINE;
      this.handle = handle;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /**
   * Appends whole lines. Rejects if the disk does not take all of them; the file is then cut back to its old end, if the disk allows it.
   */
  async append(lines: string): Promise<void> {
    if (this.handle !== null && !(await this.isInPlace(this.handle))) await this.close();
    await this.open();
    const bytes = Buffer.from(this.cutOff ? `\n${lines}` : lines);
    if (this.size > 0 && this.size + bytes.length > this.options.fileBytes) await this.rotate();
    const handle = this.handle!;
    let written = 0;
    try {
      while (written < bytes.length) written += (await handle.write(bytes, written)).bytesWritten;
      this.size += written;
      this.cutOff = false;
    } catch (error) {
      await handle.truncate(this.size).catch(() => {});
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    const { handle } = this;
    this.handle = null;
    await handle?.close().catch(() => {});
  }

  /** Whether the path still leads to the open file: if that was moved or removed, new lines would be lost. */
  private async isInPlace(handle: FileHandle): Promise<boolean> {
    const [open, named] = await Promise.all([handle.stat(), lstat(this.options.path).catch(() => null)]);
    return named !== null && named.dev === open.dev && named.ino === open.ino;
  }

  private async rotate(): Promise<void> {
    const { path, files } = this.options;
    await this.close();
    for (let i = files - 1; i > 0; i--) {
      const from = i === 1 ? path : `${path}.${i - 1}`;
      if (await exists(from)) await rename(from, `${path}.${i}`);
    }
    if (files === 1) await (await open(path, FLAGS | constants.O_TRUNC, MODE)).close();
    await this.open();
  }
}

const NEWLINE = 0x0a;

async function lastByte(handle: FileHandle, size: number): Promise<number | undefined> {
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
  return buffer[0];
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
