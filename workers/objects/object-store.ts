import { LOOP_TURNS } from '../../src/async/loop-turns.js';
import { Overloaded } from '../../src/errors.js';
import { Listing } from '../../src/objects/listing.js';
import { costOf, type ObjectInfo, type ObjectSize } from '../../src/objects/object.js';
import { compactName, type ObjectHash, type ObjectName, tenantOfSpace } from '../../src/objects/object-name.js';
import type { Room } from '../../src/objects/object-node.js';
import type { ObjectValue } from '../../src/objects/object-value.js';
import { ObjectResidency } from '../../src/objects/residency.js';
import { Tombstones } from '../../src/objects/tombstones.js';
import { isNewer, type Version } from '../../src/objects/version.js';
import { Flushes } from './flushes.js';
import { ObjectDemoter } from './object-demoter.js';
import type { DiskObject, ObjectDisk } from './object-disk.js';
import { StoredObject } from './stored-object.js';

/** The objects in a worker's memory, and the deletions that it remembers. */

/** Why an object went. `moved`: other workers are its homes now. */
export type GoneReason = 'evicted' | 'expired' | 'deleted' | 'replaced' | 'moved';

/** Objects dropped in one turn because their time was over. */
const EXPIRED_PER_TURN = 1024;
/** Objects of a flushed space dropped in one turn: about two milliseconds. */
const FLUSHED_PER_TURN = 64;

export interface ObjectStoreOptions {
  readonly budgetBytes: number;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
  readonly onGone?: (reason: GoneReason) => void;
  /** A value is not the newest of its object any more, or not in memory, or has other metadata. */
  readonly onLeft?: (value: ObjectValue) => void;
  /** Null: objects are in memory alone. */
  readonly disk?: ObjectDisk | null;
}

interface CountedRoom extends Room {
  open: boolean;
}

export class ObjectStore {
  private readonly residency: ObjectResidency<StoredObject>;
  private readonly tombstones = new Tombstones();
  private readonly spaces = new Map<string, Listing<ObjectName>>();
  private readonly flushes = new Flushes();
  /** Objects on their way from the disk into memory. */
  private readonly loading = new Map<ObjectHash, Promise<StoredObject | null>>();
  private readonly disk: ObjectDisk | null;
  private readonly demoter: ObjectDemoter | null;
  private evictions = 0;

  constructor(private readonly options: ObjectStoreOptions) {
    this.residency = new ObjectResidency(options.budgetBytes);
    this.disk = options.disk ?? null;
    this.demoter = this.disk && new ObjectDemoter(this.residency, this.disk);
    this.disk?.listen((object) => {
      if (this.residency.get(object.name.hash) === undefined) this.unlist(object.name, 'evicted');
    });
  }

  get bytes(): number {
    return this.residency.bytes;
  }

  get budgetBytes(): number {
    return this.options.budgetBytes;
  }

  get objects(): number {
    return this.residency.size + this.onDiskAlone().length;
  }

  /** Objects that went since the start because their memory was needed. */
  get evicted(): number {
    return this.evictions;
  }

  get deletions(): number {
    return this.tombstones.size;
  }

  /** The object, if it is there and has not expired. It counts as used. */
  get(hash: ObjectHash): StoredObject | null {
    const object = this.residency.get(hash);
    if (object === undefined || this.flushes.have(object)) return null;
    if (object.expiresAtMs !== null && object.expiresAtMs <= this.options.wallMs()) {
      this.drop(object, 'expired');
      return null;
    }
    this.residency.touch(object);
    return object;
  }

  /** As `get`, and brings the object from the disk into memory. Rejects with `Overloaded` if there is no room for it. */
  async load(hash: ObjectHash): Promise<StoredObject | null> {
    const [here, disk] = [this.get(hash), this.disk];
    if (here !== null || disk === null) return here;
    const running = this.loading.get(hash) ?? this.promote(hash, disk).finally(() => this.loading.delete(hash));
    this.loading.set(hash, running);
    return running;
  }

  /** Name and metadata of the object, also if its time is over. It does not count as used. */
  knownBy(hash: ObjectHash): { readonly name: ObjectName; readonly info: ObjectInfo } | null {
    return this.residency.get(hash) ?? this.disk?.get(hash) ?? null;
  }

  /** Whether an object is on the disk and not in memory. */
  isOnDiskAlone(hash: ObjectHash): boolean {
    return this.residency.get(hash) === undefined && this.disk?.get(hash) != null;
  }

  /** The version of the object, or of its deletion; null if neither is known. */
  versionOf({ hash, space }: ObjectName): Version | null {
    return this.flushes.newest(space, this.versionByHash(hash));
  }

  /** As `versionOf`, but without the flush of its space. */
  versionByHash(hash: ObjectHash): Version | null {
    return this.knownBy(hash)?.info.version ?? this.tombstones.get(hash)?.version ?? null;
  }

  /** Whether the object is there and has not expired. It does not count as used. */
  has(hash: ObjectHash): boolean {
    const known = this.knownBy(hash);
    if (known === null || this.flushes.have(known)) return false;
    return (known.info.expiresAtMs ?? Number.POSITIVE_INFINITY) > this.options.wallMs();
  }

  /** Its bytes of budget; 0 if it is not there. */
  costOf(hash: ObjectHash): number {
    return this.residency.get(hash)?.bytes ?? this.disk?.get(hash)?.info.bytes ?? 0;
  }

  /** Reserves room for an incoming object. Null if there is none. */
  reserve(name: ObjectName, size: ObjectSize): Room | null {
    const bytes = costOf(name, size);
    const tenant = tenantOfSpace(name.space);
    const gone = this.residency.reserve(tenant, bytes);
    if (gone === null) return null;
    for (const object of gone) this.forget(object, 'evicted');
    const room: CountedRoom = {
      open: true,
      free: () => {
        if (!room.open) return;
        room.open = false;
        this.residency.free(tenant, bytes);
      },
    };
    return room;
  }

  /**
   * Keeps a value for which room has been reserved, unless a newer version is there. Takes over the room; takes over the caller's reference to the
   * value if it gives true.
   */
  put(given: ObjectName, info: ObjectInfo, value: ObjectValue, room: Room): boolean {
    const name = compactName(given);
    const counted = room as CountedRoom;
    if (!isNewer(info.version, this.versionOf(name))) {
      room.free();
      return false;
    }
    this.replace(name.hash, 'replaced');
    this.tombstones.forget(name.hash);
    const object = new StoredObject(name, info, value);
    counted.open = false;
    this.residency.admit(object);
    value.transfer(null);
    this.listingOf(name.space).add(name);
    void this.demoter?.notify();
    return true;
  }

  /** Gives the bytes of a version another version and metadata. False if another version is there. */
  retime({ hash }: ObjectName, of: Version, info: ObjectInfo): boolean {
    const object = this.residency.get(hash);
    if (object === undefined || this.flushes.have(object)) return false;
    if (object.info.version.at !== of.at || object.info.version.writer !== of.writer) return false;
    this.options.onLeft?.(object.value);
    this.residency.remove(object);
    // The same bytes are counted again at once.
    this.residency.linger(object);
    this.residency.admit(new StoredObject(object.name, info, object.value));
    if (this.disk?.has(hash, object.info)) this.disk.retime(hash, info);
    return true;
  }

  /** Remembers a deletion, unless a newer version is there. */
  delete(name: ObjectName, version: Version): boolean {
    if (!isNewer(version, this.versionOf(name))) return false;
    this.replace(name.hash, 'deleted');
    this.tombstones.add({ name: compactName(name), version, sinceMs: this.options.wallMs() });
    return true;
  }

  /**
   * Drops all objects of a space that are older than a version, and takes none that is older later. They are gone at once; their memory is freed in
   * turns of the event loop. Resolves to their number.
   */
  async flush(space: string, version: Version): Promise<number> {
    this.flushes.add(space, version);
    let [looked, dropped] = [0, 0];
    for (const { hash } of this.namesIn(space)) {
      if (isNewer(version, this.versionByHash(hash)) && this.replace(hash, 'deleted')) dropped++;
      if (++looked % FLUSHED_PER_TURN === 0) await LOOP_TURNS.next();
    }
    return dropped;
  }

  /** Spaces with objects. */
  get spaceNames(): readonly string[] {
    return [...this.spaces.keys()];
  }

  /** Names and metadata of all objects, also those whose time is over. */
  *held(): Generator<{ readonly name: ObjectName; readonly info: ObjectInfo }> {
    for (const { name, info } of this.residency.all()) yield { name, info };
    for (const { name, info } of this.onDiskAlone()) yield { name, info };
  }

  /** Other workers are the homes of the object now, and have it. */
  moved(hash: ObjectHash): void {
    this.replace(hash, 'moved');
  }

  /** Drops expired objects and old deletions. Returns whether more have expired. */
  expire(): boolean {
    const nowMs = this.options.wallMs();
    this.tombstones.expire(nowMs);
    for (const { name, info } of this.onDiskAlone()) {
      if (info.expiresAtMs !== null && info.expiresAtMs <= nowMs) this.dropFromDisk(name, 'expired');
    }
    for (let i = 0; i < EXPIRED_PER_TURN; i++) {
      const object = this.residency.expired(nowMs);
      if (object === null) return false;
      this.drop(object, 'expired');
    }
    return true;
  }

  /** All objects, in no useful order. The store must not change during the iteration. */
  all(): IterableIterator<StoredObject> {
    return this.residency.all();
  }

  /** Names and versions of all objects and deletions. */
  *known(): Generator<{ readonly name: ObjectName; readonly version: Version }> {
    for (const { name, info } of this.held()) yield { name, version: info.version };
    yield* this.tombstones.all();
  }

  /** The deletion of an object, if it is remembered. */
  deletionOf(hash: ObjectHash): { readonly name: ObjectName; readonly version: Version } | null {
    return this.tombstones.get(hash);
  }

  /** Names in a space, in the order of their hashes. */
  page(space: string, from: number, least: number): { items: readonly ObjectName[]; next: number | null } {
    return this.spaces.get(space)?.page(from, least) ?? { items: [], next: null };
  }

  /** All names in a space. Those that come or go during the iteration may be among them or not. */
  namesIn(space: string): Iterable<ObjectName> {
    return this.spaces.get(space)?.all() ?? [];
  }

  /** Frees all memory that is not being read, and removes all files. */
  close(): void {
    for (const object of [...this.residency.all()]) this.drop(object, 'moved');
    for (const { name } of this.onDiskAlone()) this.dropFromDisk(name, 'moved');
  }

  private listingOf(space: string): Listing<ObjectName> {
    return this.spaces.get(space) ?? this.spaces.set(space, new Listing<ObjectName>()).get(space)!;
  }

  /** False if the object is not there. */
  private replace(hash: ObjectHash, reason: GoneReason): boolean {
    const object = this.residency.get(hash);
    const known = object ?? this.disk?.get(hash);
    if (object !== undefined) this.drop(object, reason);
    else if (known) this.dropFromDisk(known.name, reason);
    return known != null;
  }

  private async promote(hash: ObjectHash, disk: ObjectDisk): Promise<StoredObject | null> {
    // What leaves for it stays on the disk.
    await this.demoter?.notify();
    const found = disk.get(hash);
    if (found === null || !this.has(hash)) return null;
    const room = this.reserve(found.name, found.info) as CountedRoom | null;
    if (room === null) throw new Overloaded('no room to bring an object from disk into memory; retry later');
    try {
      const value = await disk.read(found);
      if (value === null) return this.get(hash);
      const known = disk.get(hash);
      // It was replaced or deleted meanwhile, or another copy of it has come.
      if (known === null || known.digests !== found.digests || this.residency.get(hash) !== undefined) {
        value.release();
        return this.get(hash);
      }
      room.open = false;
      this.residency.admit(new StoredObject(known.name, known.info, value));
      disk.touch(hash);
      return this.get(hash);
    } finally {
      room.free();
    }
  }

  private onDiskAlone(): DiskObject[] {
    return this.disk === null
      ? []
      : [...this.disk.all()].filter(({ name }) => this.residency.get(name.hash) === undefined);
  }

  private dropFromDisk(name: ObjectName, reason: GoneReason): void {
    this.disk!.remove(name.hash);
    this.unlist(name, reason);
  }

  private drop(object: StoredObject, reason: GoneReason): void {
    this.residency.remove(object);
    this.disk?.remove(object.hash);
    if (!object.value.unread) {
      // Its memory is not free before its last reader is done.
      this.residency.linger(object);
      object.value.transfer(() => this.residency.free(object.tenant, object.bytes));
    }
    this.forget(object, reason);
  }

  /** The object is not counted any more. */
  private forget({ hash, name, info, value }: StoredObject, reason: GoneReason): void {
    this.options.onLeft?.(value);
    value.release();
    // It stays on disk.
    if (reason === 'evicted' && this.disk?.has(hash, info)) return;
    this.unlist(name, reason);
  }

  private unlist(name: ObjectName, reason: GoneReason): void {
    const listing = this.spaces.get(name.space);
    listing?.remove(name.hash);
    if (listing?.size === 0) this.spaces.delete(name.space);
    if (reason === 'evicted') this.evictions++;
    this.options.onGone?.(reason);
  }
}
