import { ANNOUNCE_INTERVAL_MS, COORDINATOR_REQUESTS, HOLDINGS_TIMEOUT_MS } from '../limits.js';
import type { BlockKey } from './block.js';
import { KEY_BYTES, unpackKeys } from './key.js';

/** Keys of a worker that a coordinator keeps in its index. */
const INDEX_KEYS_PER_WORKER = 1_000_000;

/** What a worker took up and dropped, numbered from 1. Keys are packed. */
export interface HoldingsChange {
  readonly worker: string;
  readonly incarnation: string;
  readonly seq: number;
  readonly added: Uint8Array;
  readonly removed: Uint8Array;
}

/** A part of all that a worker holds, with the number of the last change that it includes. */
export interface HoldingsPage {
  readonly seq: number;
  readonly keys: Uint8Array;
  readonly last: boolean;
}

/** To be asked for: all that this worker holds. Its pages are taken under `snapshot`; those of an earlier one are passed over. */
export interface Resync {
  readonly worker: string;
  readonly incarnation: string;
  readonly snapshot: number;
}

/** Where the beginning of a prompt is. */
export interface Coverage {
  /** Blocks from the first that somebody holds. */
  readonly heldBlocks: number;
  /** Blocks from the first that somebody holds or is going to compute. */
  readonly expectedBlocks: number;
  readonly workers: ReadonlyMap<string, WorkerCoverage>;
}

interface WorkerCoverage {
  /** Blocks from the first that it holds. */
  readonly heldRun: number;
  /** Blocks from the first that it holds or is going to compute. */
  readonly expectedRun: number;
  /** How many of the expected blocks it holds, wherever they are. */
  readonly heldBlocks: number;
}

interface Held {
  readonly key: BlockKey;
  readonly workers: string[];
}

/** One worker's part of the index: `pending` are the changes since a snapshot was asked for, null when none is under way. */
interface Account {
  readonly incarnation: string;
  readonly keys: Set<Held>;
  snapshot: number;
  /** Number of the last change that is in; null until the first page. */
  seq: number | null;
  pending: HoldingsChange[] | null;
  pendingBytes: number;
  /** A number that was announced before the change itself came. */
  awaitedSeq: number | null;
  /** Announcements since the snapshot was begun, or since its last page. */
  announcements: number;
}

/** So many announcements without a page, and the snapshot has failed. */
const SNAPSHOT_ANNOUNCEMENTS = Math.ceil(HOLDINGS_TIMEOUT_MS / ANNOUNCE_INTERVAL_MS) + 1;

/**
 * Who holds which block, as far as a coordinator knows: from the workers' own numbered changes, after one full account of each.
 * Being wrong costs time, never truth. Bounded: of a worker's keys, those over `INDEX_KEYS_PER_WORKER` are not taken in.
 */
export class Holdings {
  private readonly index = new Map<BlockKey, Held>();
  private readonly accounts = new Map<string, Account>();
  private readonly promised = new Map<BlockKey, string[]>();
  private readonly promises = new Map<string, { worker: string; keys: readonly BlockKey[]; untilMs: number }>();
  private snapshots = 0;

  /** Keys that anybody holds. */
  get size(): number {
    return this.index.size;
  }

  /** Keys known of a worker; null if it is not known, or its full account is still to come. */
  keysOf(worker: string): number | null {
    const account = this.accounts.get(worker);
    return account === undefined || account.pending !== null ? null : account.keys.size;
  }

  /** Who holds a block. */
  holders(key: BlockKey): readonly string[] {
    return this.index.get(key)?.workers ?? [];
  }

  /** Begins to take a worker's full account, or begins again after that failed. What was known of this incarnation is kept until it comes. */
  beginSnapshot(worker: string, incarnation: string): Resync {
    const known = this.accounts.get(worker);
    if (known !== undefined && known.incarnation !== incarnation) this.drop(worker);
    const keys = this.accounts.get(worker)?.keys ?? new Set<Held>();
    const snapshot = ++this.snapshots;
    this.accounts.set(worker, {
      incarnation,
      keys,
      snapshot,
      seq: null,
      pending: [],
      pendingBytes: 0,
      awaitedSeq: null,
      announcements: 0,
    });
    return { worker, incarnation, snapshot };
  }

  /** Takes a page of a full account in. Says if one was missed, so that it has to begin again. */
  applyPage({ worker, incarnation, snapshot }: Resync, page: HoldingsPage): Resync | null {
    const account = this.accounts.get(worker);
    if (account === undefined || account.snapshot !== snapshot || account.pending === null) return null;
    if (account.seq === null) {
      const first = account.pending[0];
      if (first !== undefined && first.seq > page.seq + 1) return this.beginSnapshot(worker, incarnation);
      this.clear(worker, account);
      account.seq = Math.max(page.seq, account.pending.at(-1)?.seq ?? 0);
    }
    account.announcements = 0;
    this.add(worker, account, page.keys);
    // The page may be older than changes that came before it.
    for (const change of account.pending) if (change.seq > page.seq) this.apply(account, change);
    if (page.last) account.pending = null;
    return null;
  }

  /** Takes a change in. Says if one before it was missed, or the worker is not known yet, so that its full account is needed. */
  applyChange(change: HoldingsChange): Resync | null {
    const { worker, incarnation, seq } = change;
    const account = this.accounts.get(worker);
    if (account === undefined || account.incarnation < incarnation) return this.resync(change);
    if (account.incarnation > incarnation) return null;
    const lastSeq = account.seq ?? account.pending?.at(-1)?.seq;
    if (lastSeq !== undefined && seq <= lastSeq) return null;
    const missed = lastSeq !== undefined && seq !== lastSeq + 1;
    if (account.seq === null) {
      // Before the first page nothing is missed that it may not bring.
      if (missed) Object.assign(account, { pending: [], pendingBytes: 0 });
      return this.defer(account, change);
    }
    if (missed) return this.resync(change);
    account.seq = seq;
    this.apply(account, change);
    return account.pending === null ? null : this.defer(account, change);
  }

  /**
   * Compares with the number that a worker announces. A change may be late, but not later than the next announcement. To be called for
   * each announcement, or every `ANNOUNCE_INTERVAL_MS`: a full account of which nothing comes is asked for again.
   */
  announced(worker: string, incarnation: string, seq: number): Resync | null {
    const account = this.accounts.get(worker);
    if (account === undefined || account.incarnation < incarnation) return this.beginSnapshot(worker, incarnation);
    if (account.incarnation > incarnation) return null;
    if (account.pending !== null || account.seq === null) {
      const failed = ++account.announcements > SNAPSHOT_ANNOUNCEMENTS;
      return failed ? this.beginSnapshot(worker, incarnation) : null;
    }
    if (account.awaitedSeq !== null && account.seq < account.awaitedSeq) return this.beginSnapshot(worker, incarnation);
    account.awaitedSeq = seq > account.seq ? seq : null;
    return null;
  }

  /** Forgets a worker and what it promised. */
  drop(worker: string): void {
    const account = this.accounts.get(worker);
    if (account !== undefined) this.clear(worker, account);
    this.accounts.delete(worker);
    for (const [requestId, promise] of this.promises) if (promise.worker === worker) this.settle(requestId);
  }

  /** Says that a request was placed whose prefill will leave these blocks at a worker. Holds until `settle` or until `untilMs`. */
  promise(requestId: string, worker: string, keys: readonly BlockKey[], untilMs: number): void {
    this.settle(requestId);
    if (this.promises.size >= COORDINATOR_REQUESTS) this.settle(this.promises.keys().next().value!);
    this.promises.set(requestId, { worker, keys, untilMs });
    for (const key of keys) {
      const workers = this.promised.get(key);
      if (workers === undefined) this.promised.set(key, [worker]);
      else workers.push(worker);
    }
  }

  /** The prefill of a request is over, in whatever way. */
  settle(requestId: string): void {
    const promise = this.promises.get(requestId);
    if (promise === undefined) return;
    this.promises.delete(requestId);
    for (const key of promise.keys) {
      const workers = this.promised.get(key)!;
      workers.splice(workers.indexOf(promise.worker), 1);
      if (workers.length === 0) this.promised.delete(key);
    }
  }

  /** Forgets promises whose time is over. */
  expire(nowMs: number): void {
    for (const [requestId, promise] of this.promises) if (promise.untilMs <= nowMs) this.settle(requestId);
  }

  /** How many blocks from the first each worker holds or is going to compute. */
  longestRuns(keys: readonly BlockKey[]): Map<string, number> {
    const runs = new Map<string, number>();
    for (const [worker, { expectedRun }] of this.coverage(keys).workers)
      if (expectedRun > 0) runs.set(worker, expectedRun);
    return runs;
  }

  /** Where the beginning of a prompt is, among the workers that count. */
  coverage(keys: readonly BlockKey[], counts: (worker: string) => boolean = () => true): Coverage {
    const workers = new Map<string, { heldRun: number; expectedRun: number; heldBlocks: number }>();
    const of = (worker: string) => {
      const known = workers.get(worker) ?? { heldRun: 0, expectedRun: 0, heldBlocks: 0 };
      workers.set(worker, known);
      return known;
    };
    let [heldBlocks, index] = [0, 0];
    for (; index < keys.length; index++) {
      const holders = this.holders(keys[index]!).filter(counts);
      const promisers = (this.promised.get(keys[index]!) ?? []).filter(counts);
      if (holders.length + promisers.length === 0) break;
      if (holders.length > 0 && heldBlocks === index) heldBlocks++;
      for (const worker of holders) {
        const its = of(worker);
        its.heldBlocks++;
        if (its.heldRun === index) its.heldRun++;
      }
      for (const worker of [...holders, ...promisers]) {
        const its = of(worker);
        if (its.expectedRun === index) its.expectedRun++;
      }
    }
    return { heldBlocks, expectedBlocks: index, workers };
  }

  private resync(change: HoldingsChange): Resync {
    const resync = this.beginSnapshot(change.worker, change.incarnation);
    this.defer(this.accounts.get(change.worker)!, change);
    return resync;
  }

  /** Keeps a change for pages that may be older. */
  private defer(account: Account, change: HoldingsChange): Resync | null {
    account.pending!.push(change);
    account.pendingBytes += change.added.byteLength + change.removed.byteLength;
    if (account.pendingBytes <= INDEX_KEYS_PER_WORKER * KEY_BYTES) return null;
    return this.beginSnapshot(change.worker, change.incarnation);
  }

  private apply(account: Account, change: HoldingsChange): void {
    this.add(change.worker, account, change.added);
    for (const key of unpackKeys(change.removed)) {
      const held = this.index.get(key);
      if (held !== undefined && account.keys.delete(held)) this.unhold(change.worker, held);
    }
  }

  private add(worker: string, account: Account, packed: Uint8Array): void {
    for (const key of unpackKeys(packed)) {
      if (account.keys.size >= INDEX_KEYS_PER_WORKER) return;
      const held = this.index.get(key) ?? { key, workers: [] };
      if (account.keys.has(held)) continue;
      if (held.workers.length === 0) this.index.set(key, held);
      held.workers.push(worker);
      account.keys.add(held);
    }
  }

  private clear(worker: string, account: Account): void {
    for (const held of account.keys) this.unhold(worker, held);
    account.keys.clear();
  }

  private unhold(worker: string, held: Held): void {
    held.workers.splice(held.workers.indexOf(worker), 1);
    if (held.workers.length === 0) this.index.delete(held.key);
  }
}
