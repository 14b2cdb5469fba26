import { IdleMutex } from '../../src/async/idle-mutex.js';
import { within } from '../../src/async/within.js';
import type { Clock } from '../../src/clock.js';
import type { ObjectInfo } from '../../src/objects/object.js';
import { type ObjectHash, type ObjectName, tenantOfSpace } from '../../src/objects/object-name.js';
import { type ExtentDigest, type ObjectValue, ValueWriter } from '../../src/objects/object-value.js';
import { compareVersions } from '../../src/objects/version.js';
import type { PacedLog } from '../../src/paced-log.js';
import type { BlockFiles } from '../cache/block-folder.js';
import { WritePause } from '../cache/write-pause.js';

/**
 * The disk tier of a worker's objects: one file for each, of the bytes of its value. Names, metadata and digests are in memory, so that nothing of an earlier
 * process is believed: copies come back from the other homes.
 */

/** Smaller objects take no less memory on disk than they free. @internal exported for tests. */
export const LEAST_DISK_BYTES = 64 * 1024;
/** Limit on the objects on disk: each takes about 2 KiB of memory, which the budget does not count. */
const DISK_OBJECTS = 65_536;
/** Time for one part of a value. */
const READ_MS = 3_000;

/** An object on disk. */
export interface DiskObject {
  readonly name: ObjectName;
  readonly info: ObjectInfo;
  readonly tenant: string;
  readonly digests: readonly ExtentDigest[];
}

export interface ObjectDiskOptions {
  readonly files: BlockFiles;
  readonly budgetBytes: number;
  readonly clock: Clock;
  readonly log: PacedLog;
}

export class ObjectDisk {
  /** The least recently used first. */
  private readonly objects = new Map<ObjectHash, DiskObject>();
  /** The bytes of each file, of those too that no object has any more. */
  private readonly files = new Map<ObjectHash, number>();
  private usedBytes = 0;
  /** Whether the files of earlier processes are gone. */
  private opened = false;
  private readonly pause: WritePause;
  private onLost: (object: DiskObject) => void = () => {};
  /** Serializes changes of the folder. */
  private readonly changes = new IdleMutex();

  constructor(private readonly options: ObjectDiskOptions) {
    this.pause = new WritePause(options.clock, options.log);
  }

  /** @param onLost an object went because of the disk's budget, or because its file cannot be read */
  listen(onLost: (object: DiskObject) => void): void {
    this.onLost = onLost;
  }

  get size(): number {
    return this.objects.size;
  }

  /** Bytes of files, of those too that are being written or removed. */
  get bytes(): number {
    return this.usedBytes;
  }

  get budgetBytes(): number {
    return this.options.budgetBytes;
  }

  /** Whether the disk takes an object of this size at present. */
  takes(bytes: number): boolean {
    return this.pause.over && bytes >= LEAST_DISK_BYTES && bytes <= this.budgetBytes;
  }

  /** Removes the files of earlier processes. */
  async open(): Promise<void> {
    await this.changes.run(async () => {
      for (const { key } of await this.options.files.list()) await this.options.files.remove(key);
      this.opened = true;
    });
  }

  get(hash: ObjectHash): DiskObject | null {
    return this.objects.get(hash) ?? null;
  }

  all(): IterableIterator<DiskObject> {
    return this.objects.values();
  }

  /**
   * Writes an object. The caller has a reference to the value until it resolves. False if the disk does not take it.
   * @param isWanted whether the object is still the one to keep, when its turn has come and when it is written
   */
  async write(name: ObjectName, info: ObjectInfo, value: ObjectValue, isWanted: () => boolean): Promise<boolean> {
    return this.changes.run(async () => {
      if (!isWanted() || !this.takes(info.bytes)) return false;
      await this.drop(name.hash);
      if (this.files.has(name.hash)) return false;
      while (this.usedBytes + info.bytes > this.budgetBytes || this.objects.size >= DISK_OBJECTS) {
        const [oldest] = this.objects.values();
        if (oldest === undefined) return false;
        this.objects.delete(oldest.name.hash);
        this.onLost(oldest);
        if (!(await this.removeFile(oldest.name.hash))) return false;
      }
      this.count(name.hash, info.bytes);
      try {
        await this.options.files.write(name.hash, value.extents);
        this.pause.accepted();
      } catch (error) {
        this.uncount(name.hash);
        this.pause.refused(error);
        return false;
      }
      const { digests } = value;
      this.objects.set(name.hash, { name, info, digests, tenant: tenantOfSpace(name.space) });
      if (isWanted()) return true;
      await this.drop(name.hash);
      return false;
    });
  }

  /** Reads an object into memory. Null if its file is damaged, or cannot be read: then it is forgotten. */
  async read(object: DiskObject): Promise<ObjectValue | null> {
    const { hash } = object.name;
    const writer = new ValueWriter(object.info.bytes);
    let isLate = false;
    try {
      for (let at = 0; writer.missing > 0; ) {
        const target = writer.target();
        isLate = !(await within(this.options.clock, READ_MS, this.readPart(hash, target, at)));
        if (isLate) throw new Error(`the disk did not answer within ${READ_MS} ms`);
        writer.advance(target.byteLength);
        at += target.byteLength;
      }
      const value = writer.finish();
      if (value.digests.every((digest, at) => digest === object.digests[at])) return value;
      value.release();
      throw new Error('the file of an object has other bytes than were written');
    } catch (err) {
      // Another version may have been written meanwhile.
      if (this.objects.get(hash) === object) {
        this.options.log.warn({ err }, 'an object could not be read from disk: it is gone from this worker');
        this.remove(hash);
        this.onLost(object);
      }
      return null;
    } finally {
      // A late disk may still fill the memory.
      if (!isLate) writer.abort();
    }
  }

  private async readPart(hash: ObjectHash, into: Buffer, at: number): Promise<void> {
    if (await this.options.files.read(hash, into, at)) return;
    throw new Error('the file of an object is shorter than the object');
  }

  /** An object was used. */
  touch(hash: ObjectHash): void {
    const object = this.objects.get(hash);
    if (object === undefined) return;
    this.objects.delete(hash);
    this.objects.set(hash, object);
  }

  /** Forgets an object at once; its file goes later, and counts until then. */
  remove(hash: ObjectHash): void {
    if (!this.objects.delete(hash)) return;
    // Until then, a later version may have been written over it.
    void this.changes.run(async () => this.objects.has(hash) || this.removeFile(hash));
  }

  /** Gives an object another version and metadata, with the same bytes. */
  retime(hash: ObjectHash, info: ObjectInfo): void {
    const object = this.objects.get(hash);
    if (object !== undefined) this.objects.set(hash, { ...object, info });
  }

  /** Whether an object is here in this version. */
  has(hash: ObjectHash, { version }: ObjectInfo): boolean {
    const object = this.objects.get(hash);
    return object !== undefined && compareVersions(object.info.version, version) === 0;
  }

  /** Removes the files that no object has. False if one stays, or if those of earlier processes are still there. */
  clean(): Promise<boolean> {
    return this.changes.run(async () => {
      let gone = this.opened;
      for (const hash of [...this.files.keys()]) {
        if (!this.objects.has(hash)) gone = (await this.removeFile(hash)) && gone;
      }
      return gone;
    });
  }

  /** Resolves when no file is being written or removed. */
  idle(): Promise<void> {
    return this.changes.idle();
  }

  async close(): Promise<void> {
    await this.changes.idle();
    await this.options.files.close();
  }

  /** Forgets an object, and removes the file of its name. */
  private async drop(hash: ObjectHash): Promise<void> {
    this.objects.delete(hash);
    await this.removeFile(hash);
  }

  /** False if that fails. */
  private async removeFile(hash: ObjectHash): Promise<boolean> {
    if (!this.files.has(hash)) return true;
    try {
      await this.options.files.remove(hash);
      this.uncount(hash);
      return true;
    } catch (error) {
      this.pause.refused(error);
      return false;
    }
  }

  private count(hash: ObjectHash, bytes: number): void {
    this.files.set(hash, bytes);
    this.usedBytes += bytes;
  }

  private uncount(hash: ObjectHash): void {
    this.usedBytes -= this.files.get(hash) ?? 0;
    this.files.delete(hash);
  }
}
