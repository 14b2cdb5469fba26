import { KeyedMutex } from '../../src/async/keyed-mutex.js';
import { LOOP_TURNS } from '../../src/async/loop-turns.js';
import { Overloaded, type ShoalError, Unavailable } from '../../src/errors.js';
import {
  type Expiry,
  expiryOf,
  holds,
  type ObjectInfo,
  type ObjectSize,
  type WriteCondition,
} from '../../src/objects/object.js';
import { wholeValue } from '../../src/objects/object-body.js';
import type { ObjectHash, ObjectName } from '../../src/objects/object-name.js';
import type {
  CopyOutcome,
  Differing,
  Held,
  ListPage,
  ObjectCopy,
  ObjectHost,
  ObjectPeer,
  PartDigests,
  ReadOptions,
  ReadOutcome,
  RemoveOptions,
  Room,
  StoreUse,
  WriteOptions,
  WriteOutcome,
} from '../../src/objects/object-node.js';
import type { ObjectRing } from '../../src/objects/object-ring.js';
import type { ObjectValue } from '../../src/objects/object-value.js';
import type { SharedOutcome } from '../../src/objects/shared-object.js';
import { compareVersions, type HybridClock, isNewer, type Version } from '../../src/objects/version.js';
import type { ObjectStore } from './object-store.js';
import type { Settling } from './settling.js';
import type { Spreading } from './spreading.js';
import type { StoredObject } from './stored-object.js';
import { valueBody } from './value-body.js';
import type { ValueSharing } from './value-sharing.js';

/**
 * The objects of one worker, as other members see them. The first live home of an object orders its writes: it gives each a version, sends
 * it to the other homes, and shows it only then. A reader of the first home therefore never sees a value that would die with that home.
 */

/** Attempts to find a version newer than every home's. */
const VERSION_TRIES = 4;
/** Names that are counted in one turn of the event loop: about two milliseconds. A space may have hundreds of thousands. */
const NAMES_PER_TURN = 256;

export interface ObjectHomeOptions {
  readonly self: string;
  readonly store: ObjectStore;
  readonly ring: ObjectRing;
  readonly versions: HybridClock;
  readonly settling: Settling;
  readonly spreading: Spreading;
  readonly peerOf: (worker: string) => ObjectPeer | null;
  /** Copies that this worker owes another one. */
  readonly owed: (home: string) => number;
  readonly differing: (home: string, other: PartDigests) => Promise<Differing | null>;
  /** Null: no process maps this one's memory. */
  readonly sharing: ValueSharing | null;
}

export class ObjectHome implements ObjectHost {
  private readonly locks = new KeyedMutex<ObjectHash>();
  /** Objects whose last write is not acknowledged, because a home did not take it. */
  private readonly unacknowledged = new Set<ObjectHash>();

  constructor(private readonly options: ObjectHomeOptions) {}

  async read(name: ObjectName, { from, end, have, only }: ReadOptions, signal: AbortSignal): Promise<ReadOutcome> {
    const object = only === null ? await this.newest(name, signal) : await this.options.store.load(name.hash);
    if (object === null || (only !== null && compareVersions(object.info.version, only) !== 0))
      return { type: 'absent' };
    const { info, value } = object;
    if (have !== null && compareVersions(info.version, have) === 0) return { type: 'same', info };
    if (from === 0 && end === null) return { type: 'here', info, value: value.hold() };
    return { type: 'found', info, body: valueBody(value.hold(), from, end) };
  }

  /** The value in this worker's memory, if this worker may answer for it at once: `read` without waiting. Undefined if it may not. */
  readNow(name: ObjectName): { readonly info: ObjectInfo; readonly value: ObjectValue } | null | undefined {
    const { settling, ring, self, store } = this.options;
    if (!settling.settled || ring.homes(name.hash)[0] !== self) return undefined;
    return store.get(name.hash) ?? (store.isOnDiskAlone(name.hash) ? undefined : null);
  }

  async share(name: ObjectName, host: string, signal: AbortSignal): Promise<SharedOutcome> {
    const object = await this.newest(name, signal);
    if (object === null) return { type: 'absent' };
    const { sharing, settling, ring, self } = this.options;
    const { info, value } = object;
    const place = sharing?.host === host ? sharing.placeOf(value) : null;
    if (place === null) return { type: 'elsewhere' };
    // As in `readNow`: only then does this worker know of every newer version.
    const knowsAll = settling.settled && ring.homes(name.hash)[0] === self;
    return { type: 'shared', info, place, mark: knowsAll ? sharing!.mark(value) : null };
  }

  look(names: readonly ObjectName[], signal: AbortSignal): Promise<(ObjectInfo | null)[]> {
    return Promise.all(names.map(async (name) => (await this.newest(name, signal))?.info ?? null));
  }

  reserve(name: ObjectName, size: ObjectSize): Room | null {
    return this.options.store.reserve(name, size);
  }

  write(
    name: ObjectName,
    value: ObjectValue,
    options: WriteOptions,
    signal: AbortSignal,
    reserved?: Room,
  ): Promise<WriteOutcome> {
    return this.locks.run(name.hash, async () => {
      const before = (await this.newest(name, signal))?.info ?? null;
      const own = before?.token === options.token;
      if (before !== null && own && !this.unacknowledged.has(name.hash))
        return { type: 'written', info: before, created: false };
      if (!own && !holds(options.condition, before)) return { type: 'unmet', info: before };
      const room = reserved ?? this.roomFor(name, { ...options, bytes: value.bytes });
      const { contentType, fields, token } = options;
      const about = { contentType, fields, token, expiresAtMs: expiryOf(options.expiry, before) };
      const { bytes, digest } = value;
      try {
        const { result: info, failure } = await this.agreed(name, (version) => {
          const written = { ...about, version, bytes, digest };
          return { copy: { type: 'value', name, info: written, value }, result: written };
        });
        // The store's own reference.
        if (!this.options.store.put(name, info, value.hold(), room)) value.release();
        this.settle(name, failure);
        return { type: 'written', info, created: before === null };
      } finally {
        room.free();
      }
    });
  }

  remove(name: ObjectName, { condition }: RemoveOptions, signal: AbortSignal): Promise<WriteOutcome> {
    return this.locks.run(name.hash, async () => {
      const before = (await this.newest(name, signal))?.info ?? null;
      if (before === null || !holds(condition, before)) return { type: 'unmet', info: before };
      const { result: version, failure } = await this.agreed(name, (next) => ({
        copy: { type: 'deleted', name, version: next },
        result: next,
      }));
      this.options.store.delete(name, version);
      this.settle(name, failure);
      return { type: 'written', info: before, created: false };
    });
  }

  retime(name: ObjectName, expiry: Expiry, condition: WriteCondition, signal: AbortSignal): Promise<WriteOutcome> {
    return this.locks.run(name.hash, async () => {
      const object = await this.newest(name, signal);
      const before = object?.info ?? null;
      if (object === null || before === null || !holds(condition, before)) return { type: 'unmet', info: before };
      const expiresAtMs = expiryOf(expiry, before);
      const value = object.value.hold();
      try {
        const { result: info, failure } = await this.agreed(name, (version) => {
          const retimed = { ...before, version, expiresAtMs };
          return { copy: { type: 'retimed', name, of: before.version, info: retimed }, result: retimed, value };
        });
        this.options.store.retime(name, before.version, info);
        this.settle(name, failure);
        return { type: 'written', info, created: false };
      } finally {
        value.release();
      }
    });
  }

  async list(space: string, from: number, least: number): Promise<ListPage> {
    const { store } = this.options;
    const { items, next } = store.page(space, from, least);
    return { keys: items.filter(({ hash }) => store.has(hash)).map(({ key }) => key), next };
  }

  async count(space: string): Promise<number> {
    const { store, ring, self } = this.options;
    let found = 0;
    let looked = 0;
    for (const { hash } of store.namesIn(space)) {
      if (firstLive(ring, hash) === self && store.has(hash)) found++;
      if (++looked % NAMES_PER_TURN === 0) await LOOP_TURNS.next();
    }
    return found;
  }

  async use(): Promise<StoreUse> {
    const { objects, bytes, budgetBytes, evicted } = this.options.store;
    return { objects, bytes, budgetBytes, evicted };
  }

  async flush(space: string): Promise<void> {
    const { store, versions } = this.options;
    await store.flush(space, versions.next());
  }

  async versions(names: readonly ObjectName[]): Promise<(Version | null)[]> {
    return names.map((name) => this.options.store.versionOf(name));
  }

  async take(copy: ObjectCopy, _signal?: AbortSignal, reserved?: Room): Promise<CopyOutcome> {
    const { store, versions } = this.options;
    const { name } = copy;
    const version = copy.type === 'deleted' ? copy.version : copy.info.version;
    versions.heard(version);
    const known = store.versionOf(name);
    if (known !== null && compareVersions(version, known) === 0) return { type: 'stored' };
    if (!isNewer(version, known)) return { type: 'newer', version: known! };
    switch (copy.type) {
      case 'deleted':
        store.delete(name, version);
        return { type: 'stored' };
      case 'retimed':
        return store.retime(name, copy.of, copy.info) ? { type: 'stored' } : { type: 'lacks' };
      case 'value': {
        const room = reserved ?? store.reserve(name, copy.info);
        if (room === null) return { type: 'full' };
        if (!store.put(name, copy.info, copy.value.hold(), room)) copy.value.release();
        return { type: 'stored' };
      }
    }
  }

  async wanted(held: readonly Held[]): Promise<number[]> {
    const { store } = this.options;
    return held.flatMap(({ hash, version }, index) => (isNewer(version, store.versionByHash(hash)) ? [index] : []));
  }

  async owes(home: string, epoch: string): Promise<number | null> {
    const { ring, owed } = this.options;
    return ring.epoch === epoch ? owed(home) : null;
  }

  differing(home: string, other: PartDigests): Promise<Differing | null> {
    return this.options.differing(home, other);
  }

  /**
   * Sends a change to the other homes, under a version newer than all of theirs. `failure`: a live home did not take it, so that the
   * change, which this worker keeps, is not acknowledged.
   */
  private async agreed<T>(
    name: ObjectName,
    change: (version: Version) => { readonly copy: ObjectCopy; readonly result: T; readonly value?: ObjectValue },
  ): Promise<{ readonly result: T; readonly failure: ShoalError | null }> {
    const { store, versions, spreading } = this.options;
    const known = store.versionOf(name);
    if (known !== null) versions.heard(known);
    for (let tries = 0; tries < VERSION_TRIES; tries++) {
      const { copy, result, value } = change(versions.next());
      const { newer, failure } = await spreading.spread(copy, value ?? null);
      if (newer === null) return { result, failure };
      versions.heard(newer);
    }
    throw new Unavailable('cannot write the object: other writers are faster; retry');
  }

  /** The change is in the store: what other homes lack is owed to them. Throws `failure`. */
  private settle(name: ObjectName, failure: ShoalError | null): void {
    this.options.spreading.settle(name);
    this.unacknowledged.delete(name.hash);
    if (failure === null) return;
    this.unacknowledged.add(name.hash);
    throw failure;
  }

  private roomFor(name: ObjectName, size: ObjectSize): Room {
    const { store } = this.options;
    const room = store.reserve(name, size);
    if (room !== null) return room;
    throw new Overloaded(
      `no room for an object of ${size.bytes} bytes: --object-bytes (SHOAL_OBJECT_BYTES) gives this worker ${store.budgetBytes}`,
    );
  }

  /** The newest version of an object in the fleet, in this worker's memory. Rejects if it cannot be brought here, or is not this worker's. */
  private async newest(name: ObjectName, signal: AbortSignal): Promise<StoredObject | null> {
    const { self, store, ring, settling } = this.options;
    if (!ring.homes(name.hash).includes(self)) {
      throw new Unavailable(
        `worker ${self} is not a home of the object on its ring (epoch ${ring.epoch}); ask another one`,
      );
    }
    if (!settling.settled) await this.catchUp(name, signal);
    return store.load(name.hash);
  }

  /** Takes the newest version that others have, if it is newer than this worker's own. */
  private async catchUp(name: ObjectName, signal: AbortSignal): Promise<void> {
    const { store, settling, peerOf } = this.options;
    const known = await Promise.all(
      settling.sources(name.hash).map(async (worker) => {
        const peer = peerOf(worker);
        try {
          const [version = null] = (await peer?.versions([name], signal)) ?? [];
          return { peer, version };
        } catch {
          // An unreachable home is left out: the fleet continues with the others.
          return { peer, version: null };
        }
      }),
    );
    const own = store.versionOf(name);
    const newer = known
      .filter(({ version }) => version !== null && isNewer(version, own))
      .sort((a, b) => compareVersions(b.version!, a.version!))[0];
    if (newer?.version && newer.peer) await this.pull(name, newer.peer, newer.version, signal);
  }

  private async pull(name: ObjectName, peer: ObjectPeer, version: Version, signal: AbortSignal): Promise<void> {
    const { store, versions } = this.options;
    versions.heard(version);
    const read = await peer.read(name, { from: 0, end: null, have: null, only: version }, signal);
    if (read.type === 'absent') {
      // It is a deletion, or has been replaced meanwhile.
      const [now = null] = await peer.versions([name], signal);
      if (now !== null && compareVersions(now, version) === 0) store.delete(name, version);
      return;
    }
    if (read.type === 'same') return;
    const value = await wholeValue(read);
    try {
      await this.take({ type: 'value', name, info: read.info, value });
    } finally {
      value.release();
    }
  }
}

function firstLive(ring: ObjectRing, hash: string): string | undefined {
  const homes = ring.homes(hash);
  return homes.find((home) => ring.standing(home) === 'live') ?? homes[0];
}
