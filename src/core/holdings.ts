import { ANNOUNCE_INTERVAL_MS, COORDINATOR_REQUESTS, HOLDINGS_TIMEOUT_MS } from '../limits.js';
import type { BlockKey } from './block.js';
import { KEY_BYTES, unpackKeys } from './key.js';

/** A coordinator's index of holdings: which worker holds which block, and which is about to. */

/** Keys of a worker that a coordinator keeps in its index. */
const INDEX_KEYS_PER_WORKER = 1_000_000;

/** Keys that `lastCopies` looks at in one step. */
const KEYS_PER_STEP = 4_096;

/** A change of a worker's holdings, numbered from 1. Keys are packed. */
export interface HoldingsChange {
  readonly worker: string;
  readonly incarnation: string;
  readonly seq: number;
  readonly added: Uint8Array;
  readonly removed: Uint8Array;
}

/** A page of a snapshot of a worker's holdings, with the number of the last change it includes. */
export interface HoldingsPage {
  readonly seq: number;
  readonly keys: Uint8Array;
  readonly last: boolean;
}

/** A snapshot that the caller must request. Its pages are applied under the number `snapshot`; pages of an earlier snapshot are ignored. */
export interface Resync {
  readonly worker: string;
  readonly incarnation: string;
  readonly snapshot: number;
}

/** Which workers hold the first blocks of a prompt. */
export interface Coverage {
  /** Length of the run from the first block in which each block has a holder. */
  readonly heldBlocks: number;
  /** The same run, but a block that a worker is about to compute counts too. */
  readonly expectedBlocks: number;
  readonly workers: ReadonlyMap<string, WorkerCoverage>;
}

interface WorkerCoverage {
  /** Length of the run from the first block that the worker holds. */
  readonly heldRun: number;
  /** The same run, but a block that the worker is about to compute counts too. */
  readonly expectedRun: number;
  /** How many of the first `expectedBlocks` blocks the worker holds, at any position. */
  readonly heldBlocks: number;
}

interface Holding {
  readonly key: BlockKey;
  readonly workers: string[];
}

/** The index of one worker. */
interface WorkerEntry {
  readonly incarnation: string;
  readonly keys: Set<Holding>;
  /** Number of the latest snapshot requested. */
  snapshot: number;
  /** Number of the last change applied; null until the first page. */
  seq: number | null;
  /** Changes since the snapshot was requested; null once it is complete. */
  pending: HoldingsChange[] | null;
  pendingBytes: number;
  /** An announced number whose change has not arrived yet. */
  awaitedSeq: number | null;
  /** Announcements since the snapshot began, or since its latest page. */
  announcements: number;
}

/** A snapshot has failed after this many announcements without a page. */
const SNAPSHOT_ANNOUNCEMENTS = Math.ceil(HOLDINGS_TIMEOUT_MS / ANNOUNCE_INTERVAL_MS) + 1;

/**
 * The index: built from one snapshot of each worker and its numbered changes since.
 *
 * It is soft state: an error in it costs time, never correctness. It keeps at most `INDEX_KEYS_PER_WORKER` keys of each worker.
 */
export class Holdings {
  private readonly index = new Map<BlockKey, Holding>();
  private readonly entries = new Map<string, WorkerEntry>();
  private readonly promised = new Map<BlockKey, string[]>();
  private readonly promises = new Map<string, { worker: string; keys: readonly BlockKey[]; untilMs: number }>();
  private snapshots = 0;
  /** Number of keys by their number of holders. */
  private readonly sizes: number[] = [];

  /** Number of keys that have a holder. */
  get size(): number {
    return this.index.size;
  }

  /** Number of keys that have a holder, but fewer than `holders`. */
  countBelow(holders: number): number {
    return this.sizes.slice(1, holders).reduce((sum, keys) => sum + (keys ?? 0), 0);
  }

  /** Number of keys of a worker; null if it is unknown, or its snapshot is incomplete. */
  keysOf(worker: string): number | null {
    const entry = this.entries.get(worker);
    return entry === undefined || entry.pending !== null ? null : entry.keys.size;
  }

  /** The workers that hold a block. */
  holders(key: BlockKey): readonly string[] {
    return this.index.get(key)?.workers ?? [];
  }

  /**
   * Counts the keys of a worker that are held by none of the workers accepted by `keeps`. It yields between parts of the keys, so that the caller can
   * let others run. Returns null if not all keys are known: the index has not received the change `seq`, lost its place meanwhile, or is full.
   */
  *lastCopies(worker: string, seq: number, keeps: (other: string) => boolean): Generator<void, number | null> {
    const entry = this.entries.get(worker);
    const isKnown = () =>
      entry !== undefined &&
      this.entries.get(worker) === entry &&
      entry.pending === null &&
      (entry.seq ?? -1) >= seq &&
      entry.keys.size < INDEX_KEYS_PER_WORKER;
    if (entry === undefined || !isKnown()) return null;
    let [last, looked] = [0, 0];
    for (const { workers } of entry.keys) {
      if (!workers.some((other) => other !== worker && keeps(other))) last++;
      if (++looked % KEYS_PER_STEP === 0) yield;
    }
    return isKnown() ? last : null;
  }

  /** Begins a snapshot of a worker, or begins again after a failure. The known keys of the incarnation stay until the first page arrives. */
  beginSnapshot(worker: string, incarnation: string): Resync {
    const known = this.entries.get(worker);
    if (known !== undefined && known.incarnation !== incarnation) this.drop(worker);
    const keys = this.entries.get(worker)?.keys ?? new Set<Holding>();
    const snapshot = ++this.snapshots;
    this.entries.set(worker, {
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

  /** Applies a page of a snapshot. Returns a new snapshot to request if changes before the page were missed. */
  applyPage({ worker, incarnation, snapshot }: Resync, page: HoldingsPage): Resync | null {
    const entry = this.entries.get(worker);
    if (entry === undefined || entry.snapshot !== snapshot || entry.pending === null) return null;
    if (entry.seq === null) {
      const first = entry.pending[0];
      if (first !== undefined && first.seq > page.seq + 1) return this.beginSnapshot(worker, incarnation);
      this.clear(worker, entry);
      entry.seq = Math.max(page.seq, entry.pending.at(-1)?.seq ?? 0);
    }
    entry.announcements = 0;
    this.add(worker, entry, page.keys);
    // The page may be older than changes that arrived before it.
    for (const change of entry.pending) if (change.seq > page.seq) this.apply(entry, change);
    if (page.last) entry.pending = null;
    return null;
  }

  /**
   * Applies a change. Returns a snapshot to request if the worker is unknown, or if an earlier change was missed. A change is ignored
   * if its incarnation differs from the last snapshot's or announcement's.
   */
  applyChange(change: HoldingsChange): Resync | null {
    const { worker, incarnation, seq } = change;
    const entry = this.entries.get(worker);
    if (entry === undefined) return this.resync(change);
    if (entry.incarnation !== incarnation) return null;
    const lastSeq = entry.seq ?? entry.pending?.at(-1)?.seq;
    if (lastSeq !== undefined && seq <= lastSeq) return null;
    const missed = lastSeq !== undefined && seq !== lastSeq + 1;
    if (entry.seq === null) {
      // The first page may still include the missed changes.
      if (missed) Object.assign(entry, { pending: [], pendingBytes: 0 });
      return this.defer(entry, change);
    }
    if (missed) return this.resync(change);
    entry.seq = seq;
    this.apply(entry, change);
    return entry.pending === null ? null : this.defer(entry, change);
  }

  /**
   * Compares the index with the number that a worker announces. Returns a snapshot to request if a change is still missing at the next
   * announcement, or if a pending snapshot has failed. To be called for each announcement of the living incarnation, or every
   * `ANNOUNCE_INTERVAL_MS`.
   */
  announced(worker: string, incarnation: string, seq: number): Resync | null {
    const entry = this.entries.get(worker);
    if (entry?.incarnation !== incarnation) return this.beginSnapshot(worker, incarnation);
    if (entry.pending !== null || entry.seq === null) {
      const failed = ++entry.announcements > SNAPSHOT_ANNOUNCEMENTS;
      return failed ? this.beginSnapshot(worker, incarnation) : null;
    }
    if (entry.awaitedSeq !== null && entry.seq < entry.awaitedSeq) return this.beginSnapshot(worker, incarnation);
    entry.awaitedSeq = seq > entry.seq ? seq : null;
    return null;
  }

  /** Removes a worker with its keys and promises. */
  drop(worker: string): void {
    const entry = this.entries.get(worker);
    if (entry !== undefined) this.clear(worker, entry);
    this.entries.delete(worker);
    for (const [requestId, promise] of this.promises) if (promise.worker === worker) this.settle(requestId);
  }

  /** Records that the prefill of a placed request will leave these blocks on a worker. Valid until `settle` or `untilMs`. */
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

  /** Removes the promise of a request: its prefill has ended, in success or failure. */
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

  /** Removes promises past their time. */
  expire(nowMs: number): void {
    for (const [requestId, promise] of this.promises) if (promise.untilMs <= nowMs) this.settle(requestId);
  }

  /** `expectedRun` by worker, where it is not 0. */
  longestRuns(keys: readonly BlockKey[]): Map<string, number> {
    const runs = new Map<string, number>();
    for (const [worker, { expectedRun }] of this.coverage(keys).workers)
      if (expectedRun > 0) runs.set(worker, expectedRun);
    return runs;
  }

  /** The workers, among those accepted by `include`, that hold the first blocks of a prompt. */
  coverage(keys: readonly BlockKey[], include: (worker: string) => boolean = () => true): Coverage {
    const workers = new Map<string, { heldRun: number; expectedRun: number; heldBlocks: number }>();
    const coverageOf = (worker: string) => {
      const known = workers.get(worker) ?? { heldRun: 0, expectedRun: 0, heldBlocks: 0 };
      workers.set(worker, known);
      return known;
    };
    let [heldBlocks, index] = [0, 0];
    for (; index < keys.length; index++) {
      const holders = this.holders(keys[index]!).filter(include);
      const promisers = (this.promised.get(keys[index]!) ?? []).filter(include);
      if (holders.length + promisers.length === 0) break;
      if (holders.length > 0 && heldBlocks === index) heldBlocks++;
      for (const worker of holders) {
        const covered = coverageOf(worker);
        covered.heldBlocks++;
        if (covered.heldRun === index) covered.heldRun++;
      }
      for (const worker of [...holders, ...promisers]) {
        const covered = coverageOf(worker);
        if (covered.expectedRun === index) covered.expectedRun++;
      }
    }
    return { heldBlocks, expectedBlocks: index, workers };
  }

  private resync(change: HoldingsChange): Resync {
    const resync = this.beginSnapshot(change.worker, change.incarnation);
    this.defer(this.entries.get(change.worker)!, change);
    return resync;
  }

  /** Keeps a change to apply it again after pages that may be older. */
  private defer(entry: WorkerEntry, change: HoldingsChange): Resync | null {
    entry.pending!.push(change);
    entry.pendingBytes += change.added.byteLength + change.removed.byteLength;
    if (entry.pendingBytes <= INDEX_KEYS_PER_WORKER * KEY_BYTES) return null;
    return this.beginSnapshot(change.worker, change.incarnation);
  }

  private apply(entry: WorkerEntry, change: HoldingsChange): void {
    this.add(change.worker, entry, change.added);
    for (const key of unpackKeys(change.removed)) {
      const holding = this.index.get(key);
      if (holding !== undefined && entry.keys.delete(holding)) this.removeHolder(change.worker, holding);
    }
  }

  private add(worker: string, entry: WorkerEntry, packed: Uint8Array): void {
    for (const key of unpackKeys(packed)) {
      if (entry.keys.size >= INDEX_KEYS_PER_WORKER) return;
      const holding = this.index.get(key) ?? { key, workers: [] };
      if (entry.keys.has(holding)) continue;
      if (holding.workers.length === 0) this.index.set(key, holding);
      holding.workers.push(worker);
      this.resized(holding.workers.length - 1, holding.workers.length);
      entry.keys.add(holding);
    }
  }

  private clear(worker: string, entry: WorkerEntry): void {
    for (const holding of entry.keys) this.removeHolder(worker, holding);
    entry.keys.clear();
  }

  private removeHolder(worker: string, holding: Holding): void {
    holding.workers.splice(holding.workers.indexOf(worker), 1);
    this.resized(holding.workers.length + 1, holding.workers.length);
    if (holding.workers.length === 0) this.index.delete(holding.key);
  }

  /** Keeps `sizes` after a change of a key's number of holders. */
  private resized(from: number, to: number): void {
    this.sizes[from] = (this.sizes[from] ?? 0) - 1;
    this.sizes[to] = (this.sizes[to] ?? 0) + 1;
  }
}
