import { setImmediate } from 'node:timers/promises';
import { IdleCondition } from '../../src/async/idle.js';
import type { Clock } from '../../src/clock.js';
import type { ObjectHash, ObjectName } from '../../src/objects/object-name.js';
import type { CopyOutcome, ObjectCopy, ObjectPeer } from '../../src/objects/object-node.js';
import type { ObjectRing } from '../../src/objects/object-ring.js';
import type { ObjectStore } from './object-store.js';

/**
 * The copies that this worker owes to other homes, and how it pays. After a change of the ring each worker owes its objects to their new homes. After
 * the loss of a worker it owes them to all their homes, because the lost one may have owed them too. What a home has already costs one line of an
 * offer. A worker that is no longer a home of an object drops it once all homes have it.
 */

/** Objects in one offer to a home. */
const OFFER_OBJECTS = 256;
/** Limit on the copies in transit to one home. */
const COPIES_AT_ONCE = 4;
/** Objects looked at in one turn of the event loop after a change of the ring. */
const SCAN_TURN = 1_000;
/** Pauses after a failure: the first, and the longest. Each is twice the last. */
const PAUSE_MS = 250;
const PAUSE_CEILING_MS = 5_000;
const OFFER_MS = 5_000;
const COPY_MS = 60_000;

type HomesOf = (hash: ObjectHash) => readonly string[];

export interface HandOverOptions {
  readonly self: string;
  readonly store: ObjectStore;
  readonly ring: ObjectRing;
  readonly clock: Clock;
  readonly peerOf: (worker: string) => ObjectPeer | null;
  readonly onMoved: (objects: number) => void;
}

export class HandOver {
  private readonly debts = new Map<string, Map<ObjectHash, ObjectName>>();
  private readonly paying = new Set<string>();
  private readonly idleCondition = new IdleCondition(() => this.owedCopies === 0 && this.scans === 0);
  /** The ring as it was when all objects were looked at last. */
  private before: HomesOf;
  private scans = 0;
  /** Counts changes of the ring: a scan that is overtaken ends, and the next one leaves nothing out. */
  private change = 0;
  private lost = false;
  private over = false;

  constructor(private readonly options: HandOverOptions) {
    this.before = options.ring.snapshot();
  }

  /** Copies that are still to be made. */
  get owedCopies(): number {
    let copies = 0;
    for (const names of this.debts.values()) copies += names.size;
    return copies;
  }

  /** Copies owed to one home; while that is not known yet, at least one. */
  owedTo(home: string): number {
    return (this.debts.get(home)?.size ?? 0) + (this.scans > 0 ? 1 : 0);
  }

  owe(home: string, name: ObjectName): void {
    const names = this.debts.get(home) ?? this.debts.set(home, new Map()).get(home)!;
    names.set(name.hash, name);
    if (!this.paying.has(home)) void this.pay(home);
  }

  /** A worker is gone, with all that it owed. To be called before `ringChanged`. */
  workerLost(): void {
    this.lost = true;
  }

  ringChanged(): void {
    void this.scan();
  }

  /** Resolves when nothing is owed. */
  idle(): Promise<void> {
    return this.idleCondition.wait();
  }

  stop(): void {
    this.over = true;
    this.debts.clear();
    this.idleCondition.notify();
  }

  /** Looks through all objects for copies that this worker owes on the ring as it is now. */
  private async scan(): Promise<void> {
    const { store, ring, self } = this.options;
    const change = ++this.change;
    const { before } = this;
    const after = ring.snapshot();
    // An earlier scan that has not ended has left some objects out.
    const everything = this.lost || this.scans > 0;
    this.scans++;
    try {
      let looked = 0;
      for (const { name } of [...store.known()]) {
        if (++looked % SCAN_TURN === 0) await setImmediate();
        if (change !== this.change || this.over) return;
        const homes = after(name.hash);
        const old = before(name.hash);
        const leaves = !homes.includes(self);
        for (const home of homes) {
          if (home !== self && (everything || leaves || !old.includes(home))) this.owe(home, name);
        }
      }
      this.before = after;
      this.lost = false;
    } finally {
      this.scans--;
      this.idleCondition.notify();
    }
  }

  private async pay(home: string): Promise<void> {
    const { ring, clock } = this.options;
    this.paying.add(home);
    let pauseMs = PAUSE_MS;
    // Debts of one turn of the event loop go together.
    await setImmediate();
    for (let names = this.debts.get(home); names !== undefined && names.size > 0; names = this.debts.get(home)) {
      if (ring.standing(home) === 'gone') this.debts.delete(home);
      else if (await this.payOnce(home, names)) pauseMs = PAUSE_MS;
      else {
        await new Promise<void>((resolve) => clock.after(pauseMs, resolve));
        pauseMs = Math.min(2 * pauseMs, PAUSE_CEILING_MS);
      }
    }
    this.paying.delete(home);
    this.debts.delete(home);
    this.idleCondition.notify();
  }

  /** Pays some of the debts. False if the home could not be reached. */
  private async payOnce(home: string, names: Map<ObjectHash, ObjectName>): Promise<boolean> {
    const { ring, store, peerOf } = this.options;
    const some: { name: ObjectName; version: NonNullable<ReturnType<ObjectStore['versionByHash']>> }[] = [];
    for (const [hash, name] of names) {
      const version = store.versionByHash(hash);
      if (version === null || !ring.homes(hash).includes(home)) this.paid(home, name);
      else some.push({ name, version });
      if (some.length === OFFER_OBJECTS) break;
    }
    if (some.length === 0) return true;
    try {
      const peer = peerOf(home);
      if (peer === null) return false;
      const held = some.map(({ name, version }) => ({ hash: name.hash, version }));
      const wanted = new Set(await peer.wanted(held, AbortSignal.timeout(OFFER_MS)));
      for (const [index, { name, version }] of some.entries()) {
        // It may have changed meanwhile: then it is offered again.
        if (!wanted.has(index) && version === store.versionByHash(name.hash)) this.paid(home, name);
      }
      await this.copy(
        home,
        peer,
        some.flatMap(({ name }, index) => (wanted.has(index) ? [name] : [])),
      );
      return true;
    } catch {
      return false;
    }
  }

  private async copy(home: string, peer: ObjectPeer, names: readonly ObjectName[]): Promise<void> {
    const waiting = [...names];
    const line = async () => {
      for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
        const version = this.options.store.versionByHash(name.hash);
        const outcome = await this.copyOne(peer, name);
        // A home without room for it does not take this copy away from here.
        if (outcome === 'full') this.debts.get(home)?.delete(name.hash);
        else if (this.options.store.versionByHash(name.hash) === version) this.paid(home, name);
      }
    };
    await Promise.all(Array.from({ length: COPIES_AT_ONCE }, line));
  }

  private async copyOne(peer: ObjectPeer, name: ObjectName): Promise<CopyOutcome['type'] | null> {
    const { store, onMoved } = this.options;
    const object = await store.load(name.hash);
    const deletion = object === null ? store.deletionOf(name.hash) : null;
    if (object === null && deletion === null) return null;
    const value = object?.value.hold() ?? null;
    try {
      const copy: ObjectCopy =
        object !== null
          ? { type: 'value', name, info: object.info, value: object.value }
          : { type: 'deleted', name, version: deletion!.version };
      const outcome = await peer.take(copy, AbortSignal.timeout(COPY_MS));
      if (outcome.type === 'stored' && object !== null) onMoved(1);
      return outcome.type;
    } finally {
      value?.release();
    }
  }

  /** The home has an object, or cannot have it. */
  private paid(home: string, { hash }: ObjectName): void {
    this.debts.get(home)?.delete(hash);
    const { ring, self, store } = this.options;
    const homes = ring.homes(hash);
    if (homes.includes(self) || homes.length === 0) return;
    if ([...this.debts.values()].some((names) => names.has(hash))) return;
    store.moved(hash);
  }
}
