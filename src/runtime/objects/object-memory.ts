import { open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Corrupt, Overloaded } from '../../errors.js';
import type { Log } from '../../log.js';
import { SharedFile, type SharedFilePlace } from '../../native/shared-file.js';
import { ownFolder } from '../../own-folder.js';
import type { Random } from '../../random.js';
import { joined, type ObjectPieces } from './object-layout.js';

/**
 * The bytes of the objects of one process: in memory under a budget, the least recently used beyond it in files. Large ones are in shared memory, which
 * other processes of this host map.
 */

/** Share of the budget from which on objects are written to files. */
const SPILL_FROM = 0.75;
/** Objects from this size on are in shared memory, as long as there are few: each costs a file descriptor. */
export const SHARED_BYTES = 2 ** 20;
const SHARED_FILES = 256;
const TOKEN_BYTES = 16;

export interface ObjectMemoryOptions {
  readonly budgetBytes: number;
  /** Folder for objects beyond the budget, used by this process only; null for none. Made when it is needed. */
  readonly dir: string | null;
  readonly log: Log;
  /** For names that others cannot guess. */
  readonly random: Random;
}

interface Stored {
  readonly byteLength: number;
  /** Null: in its file. */
  bytes: Uint8Array | SharedFile | null;
  /** Readers of the file or of memory that is being written. The file stays until they are done. */
  ended: boolean;
}

export class ObjectMemory {
  /** Least recently used first. */
  private readonly objects = new Map<string, Stored>();
  private usedBytes = 0;
  private sharedFiles = 0;
  private spilling: Promise<void> | null = null;
  /** Whether the last attempt to write a file failed. */
  private filesFail = false;

  constructor(private readonly options: ObjectMemoryOptions) {}

  get count(): number {
    return this.objects.size;
  }

  /** Bytes in memory. */
  get memoryBytes(): number {
    return this.usedBytes;
  }

  /** Takes a copy of the bytes. @throws Overloaded if they do not fit into the budget now */
  put(id: string, object: ObjectPieces): void {
    const { budgetBytes } = this.options;
    const { byteLength } = object;
    if (this.usedBytes + byteLength > budgetBytes) {
      this.spill();
      const state = `${this.usedBytes} of ${budgetBytes} bytes are used`;
      throw new Overloaded(
        `cannot store an object of ${byteLength} bytes: ${state}; release others, or raise the budget`,
      );
    }
    this.objects.set(id, { byteLength, bytes: this.shared(object) ?? joined(object), ended: false });
    this.usedBytes += byteLength;
    if (this.usedBytes > SPILL_FROM * budgetBytes) this.spill();
  }

  /** Where another process of this host finds an object; null if it is not in shared memory. */
  placeOf(id: string): SharedFilePlace | null {
    const bytes = this.touched(id)?.bytes;
    return bytes instanceof SharedFile ? bytes.place : null;
  }

  /** All bytes of an object, for the caller to change; null if it is not here. */
  async copyOf(id: string): Promise<Uint8Array | null> {
    const stored = this.touched(id);
    if (stored?.bytes instanceof SharedFile) return stored.bytes.map() ?? stored.bytes.read(0, stored.byteLength);
    const bytes = stored && (await this.read(id, 0, stored.byteLength));
    return stored?.bytes ? (bytes?.slice() ?? null) : bytes;
  }

  /** Length of an object; null if it is not here. */
  lengthOf(id: string): number | null {
    return this.objects.get(id)?.byteLength ?? null;
  }

  /** Bytes `[from, to)` of an object; null if it is not here. They must not be changed. */
  async read(id: string, from: number, to: number): Promise<Uint8Array | null> {
    const stored = this.touched(id);
    if (!stored) return null;
    if (stored.bytes instanceof SharedFile) return stored.bytes.read(from, to);
    if (stored.bytes) return stored.bytes.subarray(from, to);
    const file = await open(this.fileOf(id), 'r');
    try {
      const bytes = new Uint8Array(to - from);
      for (let at = 0; at < bytes.byteLength; ) {
        const { bytesRead } = await file.read(bytes, at, bytes.byteLength - at, from + at);
        if (bytesRead === 0)
          throw new Corrupt(`the file of the object ${id} is shorter than the object; compute the object again`);
        at += bytesRead;
      }
      return bytes;
    } finally {
      await file.close();
    }
  }

  delete(id: string): void {
    const stored = this.objects.get(id);
    if (!stored) return;
    this.objects.delete(id);
    stored.ended = true;
    if (stored.bytes) this.freed(stored, stored.bytes);
    else void rm(this.fileOf(id), { force: true }).catch(() => undefined);
  }

  /** Forgets all objects, and removes their files. */
  async close(): Promise<void> {
    for (const id of [...this.objects.keys()]) this.delete(id);
    await this.spilling;
    if (this.options.dir !== null) await rm(this.options.dir, { recursive: true, force: true });
  }

  /** Resolves when no object is being written to a file. @internal exported for tests. */
  async spilled(): Promise<void> {
    await this.spilling;
  }

  private spill(): void {
    if (this.options.dir === null) return;
    this.spilling ??= this.spillAll().finally(() => {
      this.spilling = null;
    });
  }

  private async spillAll(): Promise<void> {
    try {
      const { warning } = await ownFolder(this.options.dir!);
      if (warning !== null) this.options.log.warn({}, warning);
      for (const [id, stored] of [...this.objects]) {
        if (this.usedBytes <= (SPILL_FROM / 2) * this.options.budgetBytes) return;
        if (stored.bytes && !stored.ended) await this.spillOne(id, stored, stored.bytes);
      }
    } catch (err) {
      // The next object tries again: a full disk may have room by then.
      if (!this.filesFail) {
        this.options.log.error({ err }, 'cannot write objects to files; they stay in memory until that succeeds');
      }
      this.filesFail = true;
    }
  }

  private async spillOne(id: string, stored: Stored, bytes: Uint8Array | SharedFile): Promise<void> {
    try {
      await writeFile(this.fileOf(id), bytes instanceof SharedFile ? partsOf(bytes) : bytes, { mode: 0o600 });
    } catch (error) {
      await rm(this.fileOf(id), { force: true }).catch(() => undefined);
      throw error;
    }
    this.filesFail = false;
    if (stored.ended) {
      await rm(this.fileOf(id), { force: true });
      return;
    }
    stored.bytes = null;
    this.freed(stored, bytes);
  }

  private shared(object: ObjectPieces): SharedFile | null {
    if (object.byteLength < SHARED_BYTES || this.sharedFiles >= SHARED_FILES) return null;
    const token = Buffer.from(this.options.random.bytes(TOKEN_BYTES)).toString('hex');
    const file = SharedFile.write(object.byteLength, object.pieces, token);
    if (file !== null) this.sharedFiles++;
    return file;
  }

  /** An object, now the most recently used one. */
  private touched(id: string): Stored | null {
    const stored = this.objects.get(id);
    if (!stored) return null;
    this.objects.delete(id);
    this.objects.set(id, stored);
    return stored;
  }

  private freed({ byteLength }: Stored, bytes: Uint8Array | SharedFile): void {
    this.usedBytes -= byteLength;
    if (!(bytes instanceof SharedFile)) return;
    this.sharedFiles--;
    bytes.close();
  }

  private fileOf(id: string): string {
    return join(this.options.dir!, id);
  }
}

function* partsOf(file: SharedFile): Generator<Uint8Array> {
  for (let from = 0; from < file.byteLength; from += SHARED_BYTES) {
    yield file.read(from, Math.min(from + SHARED_BYTES, file.byteLength));
  }
}
