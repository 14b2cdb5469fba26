import { type FileHandle, open, rename } from 'node:fs/promises';
import { Corrupt, Refused } from '../../src/errors.js';
import { lockFile } from '../../src/native/libc.js';
import { ValueDigest } from '../../src/objects/value-digest.js';
import { ARCHIVE_MAGIC, type ArchivedObject, encodeHead } from './archive-head.js';
import { ArchiveReader } from './archive-reader.js';

/** The contents of a file that an earlier run began. */
interface Begun {
  readonly prefix: string;
  /** The place in the list before which nothing is missing. */
  after: string | null;
  objects: number;
  bytes: number;
  /** Keys of objects behind that place. */
  beyond: Set<string>;
  /** Where the first record that is not whole begins. */
  end: number;
}

/**
 * Writes a file of objects under the name `FILE.part`, and renames it when it is complete. A later writer continues where an earlier one was
 * cut off: behind the last record that is whole.
 */
export class ArchiveWriter {
  /** @throws Refused if another process writes the file, or if it was begun with another prefix */
  static async open(path: string, prefix: string): Promise<ArchiveWriter> {
    const file = await open(`${path}.part`, 'a+', 0o600)
      .then((made) => made.close())
      .then(() => open(`${path}.part`, 'r+'));
    try {
      if (!lockFile(file.fd)) throw new Refused(`another process writes ${path}.part; wait for it`);
      const begun = await begunIn(file);
      if (begun !== null && begun.prefix !== prefix) {
        throw new Refused(
          `${path}.part was begun with --prefix ${JSON.stringify(begun.prefix)}; continue with that prefix, or remove the file`,
        );
      }
      const writer = new ArchiveWriter(path, file, begun ?? nothing(prefix));
      if (begun === null) await writer.begin(prefix);
      else await file.truncate(begun.end);
      return writer;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  private constructor(
    private readonly path: string,
    private readonly file: FileHandle,
    private readonly done: Begun,
  ) {}

  /** The place in the list from which to continue; null for its beginning. */
  get after(): string | null {
    return this.done.after;
  }

  get objects(): number {
    return this.done.objects;
  }

  get bytes(): number {
    return this.done.bytes;
  }

  /** Whether an object of the page that comes next is in the file already. */
  has(key: string): boolean {
    return this.done.beyond.has(key);
  }

  /** Adds an object with its stream of bytes. @throws Corrupt if they have another digest; the errors of `bytes`. The file is then unchanged */
  async add(object: ArchivedObject, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      this.done.end = await this.append(object, bytes);
    } catch (error) {
      await this.file.truncate(this.done.end);
      throw error;
    }
    this.done.objects++;
    this.done.bytes += object.bytes;
    this.done.beyond.add(object.key);
  }

  private async append(object: ArchivedObject, bytes: AsyncIterable<Uint8Array>): Promise<number> {
    const found = new ValueDigest();
    let at = await this.write(encodeHead(object), this.done.end);
    for await (const part of bytes) {
      if (found.bytes + part.byteLength > object.bytes) throw new Corrupt('more bytes came than the object has');
      found.update(part);
      at = await this.write(part, at);
    }
    if (found.bytes !== object.bytes || found.digest() !== object.digest) {
      throw new Corrupt(`${found.bytes} of ${object.bytes} bytes came, or their digest is not ${object.digest}`);
    }
    return at;
  }

  /** All objects before this place in the list are in the file. Resolves when the disk has them. */
  async mark(after: string): Promise<void> {
    await this.file.datasync();
    this.done.end = await this.write(encodeHead({ type: 'mark', after }), this.done.end);
    this.done.after = after;
    this.done.beyond.clear();
  }

  /** Ends the file, and gives it its name. */
  async finish(): Promise<void> {
    const { objects, bytes } = this.done;
    await this.write(encodeHead({ type: 'end', objects, bytes }), this.done.end);
    await this.file.sync();
    await rename(`${this.path}.part`, this.path);
  }

  close(): Promise<void> {
    return this.file.close();
  }

  private async begin(prefix: string): Promise<void> {
    await this.file.truncate(0);
    const at = await this.write(ARCHIVE_MAGIC, 0);
    this.done.end = await this.write(encodeHead({ type: 'begin', prefix }), at);
  }

  /** Returns the place after the written bytes. */
  private async write(bytes: Uint8Array, at: number): Promise<number> {
    for (let written = 0; written < bytes.byteLength; ) {
      const { bytesWritten } = await this.file.write(bytes, written, bytes.byteLength - written, at + written);
      written += bytesWritten;
    }
    return at + bytes.byteLength;
  }
}

function nothing(prefix: string): Begun {
  return { prefix, after: null, objects: 0, bytes: 0, beyond: new Set(), end: 0 };
}

/** The contents of a file; null if it lacks even its first record. */
async function begunIn(file: FileHandle): Promise<Begun | null> {
  const { size } = await file.stat();
  if (size <= ARCHIVE_MAGIC.byteLength) return null;
  let begun: Begun | null = null;
  try {
    for await (const { head, nextAt } of new ArchiveReader(file).records()) {
      if (head.type === 'begin') begun = nothing(head.prefix);
      if (begun === null || head.type === 'end') break;
      if (head.type === 'mark') {
        begun.after = head.after;
        begun.beyond.clear();
      }
      if (head.type === 'object') {
        begun.objects++;
        begun.bytes += head.bytes;
        begun.beyond.add(head.key);
      }
      begun.end = nextAt;
    }
  } catch (error) {
    // After the loss of power the end of a file may be anything: what lies before it stays.
    if (begun === null || !(error instanceof Corrupt)) throw error;
  }
  return begun;
}
