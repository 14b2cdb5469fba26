import { IdleCondition } from '../../src/async/idle.js';
import { Semaphore } from '../../src/async/semaphore.js';
import type { Clock, Timer } from '../../src/clock.js';
import type { BlockKey, PinnedBlock, SealedBlock } from '../../src/core/block.js';
import type { Debt } from '../../src/core/debt-lines.js';
import { Debts } from '../../src/core/debts.js';
import { admissionOf, type Durability } from '../../src/core/durability.js';
import type { Announcement } from '../../src/core/member.js';
import { type HomesOf, homesOnce, type Push, pushesOf, ringChange } from '../../src/core/replication.js';
import type { Roster } from '../../src/fleet/roster.js';
import { PEER_OFFER_BLOCKS } from '../../src/limits.js';
import type { PeerClient } from '../../src/peer/client/peer-client.js';
import type { Random } from '../../src/random.js';
import type { Ring } from '../../src/ring/ring.js';
import { NO_SPAN } from '../../src/trace/span.js';
import type { BlockStore } from '../cache/block-store.js';
import { Creditors, pauseMs } from './creditors.js';
import { incarnationsOf } from './incarnations.js';
import { Recovery } from './recovery.js';
import type { RepairShare } from './repair-share.js';
import { pushEnded, type TracedBlocks } from './traced-blocks.js';
import { Transfers } from './transfers.js';

/** Copies new blocks to their homes, and blocks to workers that become homes. */

/** Copies that a worker remembers to owe. Beyond it, the debts of the blocks with the most copies are dropped. */
const REPLICATION_DEBTS = 65_536;
/** Fresh blocks that are sorted by home at a time. */
const REPLICATION_BATCH_BLOCKS = 64;
/** Limit on the fresh blocks that wait for sorting. */
const REPLICATION_FRESH_BLOCKS = 8192;
/** Times that a home may have no memory for a block before this worker offers it no more. */
const REPLICATION_REFUSALS = 4;
/** Homes that are pushed to at a time, so that a slow one does not hold up the others, and transfers do not crowd out requests. */
const REPLICATION_PUSHES = 2;
/** Time after a change of the ring at which workers with a copy that another was to give check that it arrived. @internal exported for tests. */
export const REPLICATION_CHECK_MS = 5_000;
/** Time after which a new home is expected to have its copies. @internal exported for tests. */
export const REPLICATION_SETTLE_MS = 60_000;
/** Limit on the changes of the ring that are remembered for that time. */
const REPLICATION_PAST_RINGS = 16;

export interface ReplicatorOptions {
  readonly self: string;
  readonly store: BlockStore;
  readonly peers: PeerClient;
  readonly roster: Roster;
  readonly clock: Clock;
  readonly random: Random;
  readonly replicas: number;
  readonly share: RepairShare;
  readonly durability: Durability;
  readonly traced?: TracedBlocks;
  /** Copies to remember. Default: `REPLICATION_DEBTS`. */
  readonly debts?: number;
  /** How many copies wait to be made, and how many blocks lack a copy. */
  readonly onLag: (waitingCopies: number, lackingBlocks: number) => void;
  /** How many blocks of a push came to be held by another because the ring changed. */
  readonly onMoved: (blocks: number) => void;
}

/**
 * Copies new blocks to their homes, and, when the ring changes, blocks to workers that became homes of them, all off the reply path. Each home gets
 * one push at a time, and few homes are served at a time, so that transfers do not crowd out requests; a home that cannot be reached does not delay
 * the others. A copy is owed until it is made: a home that cannot be reached is tried again and again, after growing pauses. A block for which a home
 * has no memory is offered a few times; then it counts as lacking a copy until the ring changes or the anti-entropy pass has offered it.
 */
export class Replicator {
  private readonly fresh: SealedBlock[] = [];
  private readonly debts: Debts;
  private readonly recovery: Recovery;
  private readonly creditors: Creditors;
  private readonly turns = new Semaphore(REPLICATION_PUSHES);
  private sorting = false;
  private waking: { readonly atMs: number; readonly timer: Timer } | null = null;
  private readonly transfers = new Transfers();
  private ended = false;
  /** The ring when blocks were last moved, and the incarnation of each worker then. */
  private ring: Ring;
  private incarnations: ReadonlyMap<string, string>;
  /** The homes of the last few rings. Before this worker joined, no block had any, for all that this worker knows. */
  private past: { readonly homesOf: HomesOf; readonly untilMs: number }[];
  private readonly idleCondition = new IdleCondition(() => !this.creditors.anyBusy && this.lagBlocks === 0);

  constructor(private readonly options: ReplicatorOptions) {
    this.debts = new Debts(options.debts ?? REPLICATION_DEBTS);
    this.recovery = new Recovery(options.store, this.debts);
    this.creditors = new Creditors(options.clock, options.random);
    this.ring = options.roster.ring;
    this.incarnations = incarnationsOf(options.roster);
    this.past = [{ homesOf: () => [], untilMs: options.clock.now() }];
    options.store.listen({
      added: (block, origin) => {
        if (origin === 'computed') this.enqueueFresh(block);
      },
      removed: (key) => {
        if (this.debts.forget(key)) this.tell();
      },
    });
    options.roster.listen((effect) => {
      if (effect.type === 'changed') this.followRing();
    });
  }

  /** Copies that wait to be made. */
  get lagBlocks(): number {
    return this.fresh.length + this.debts.waiting;
  }

  /** Raised when running transfers must stop: at a reset, and at the end. */
  get signal(): AbortSignal {
    return this.transfers.signal;
  }

  /** Resolves when this worker has no copy left to make. */
  idle(): Promise<void> {
    return this.idleCondition.wait();
  }

  stop(): void {
    this.ended = true;
    this.forget();
  }

  /** Drops all debts, and aborts the pushes under way. */
  forget(): void {
    this.transfers.abort();
    this.debts.clear();
    this.recovery.restart();
    this.fresh.length = 0;
    this.creditors.resetAll();
    this.waking?.timer.cancel();
    this.waking = null;
    this.idleCondition.notify();
  }

  /** Whether this worker owes the block to that one, so that no other worker needs to copy it. */
  owes(key: BlockKey, to: string): boolean {
    return this.debts.owes(key, to);
  }

  /** The worker was offered these blocks by the anti-entropy pass: it has them now, or has no room for them. */
  offered(to: string, keys: Iterable<BlockKey>): void {
    for (const key of keys) if (!this.debts.owes(key, to)) this.debts.paid(key, to);
    this.tell();
  }

  private enqueueFresh(block: SealedBlock): void {
    if (this.ended) return;
    this.fresh.push(block);
    if (this.fresh.length > REPLICATION_FRESH_BLOCKS) this.sortBatch();
    this.sortSoon();
  }

  private followRing(): void {
    const { self, store, roster, clock, replicas } = this.options;
    const { ring: before, incarnations } = this;
    if (this.ended || before.epoch === roster.epoch) return;
    this.ring = roster.ring;
    const alive = incarnationsOf(roster);
    this.incarnations = alive;
    const residents = store.keys().flatMap((key) => store.sealed(key) ?? []);
    // A worker that was restarted has no blocks, as if it had not been there.
    const present = (worker: string) => worker === self || alive.get(worker) === incarnations.get(worker);
    const homesBefore: HomesOf = (segment) => before.homes(segment, replicas).filter(present);
    const nowMs = clock.now();
    this.past = this.past
      .filter(({ untilMs }) => nowMs - untilMs < REPLICATION_SETTLE_MS)
      .slice(-REPLICATION_PAST_RINGS);
    const lost = !before.members.every(present);
    const unsettled = lost ? this.past.map(({ homesOf }) => homesOf) : [];
    this.past.push({ homesOf: homesBefore, untilMs: nowMs });
    const change = ringChange(residents, homesBefore, (segment) => this.homes(segment), { self, present, unsettled });
    store.reassignRoles();
    // Moves that an earlier ring asked for are dropped if this ring does not. New blocks go to the homes that they have now.
    const homesOf = homesOnce((segment) => this.homes(segment));
    this.fresh.push(...this.debts.keep(({ block, to }) => homesOf(block.segment).includes(to)));
    this.debts.keepDropped((to) => roster.ring.members.includes(to));
    this.recovery.restart();
    for (const id of roster.ring.members) if (!present(id) || !before.members.includes(id)) this.creditors.reset(id);
    // Not at once: the peers may not know yet of a worker that has just joined.
    for (const push of change.pushes) this.owe(push, 'moved', nowMs);
    for (const push of change.checks) this.owe(push, 'check', nowMs + REPLICATION_CHECK_MS);
    if (this.fresh.length > 0) this.sortSoon();
    this.tell();
  }

  private owe({ to, segment, blocks }: Push<SealedBlock>, cause: Debt['cause'], untilMs: number | null): void {
    const otherHomes = this.homes(segment).filter((home) => home !== this.options.self).length;
    this.debts.owe(blocks, to, cause, otherHomes, untilMs);
  }

  private sortSoon(): void {
    if (this.sorting || this.ended) return;
    this.sorting = true;
    setImmediate(() => this.sort());
  }

  private sort(): void {
    this.sorting = false;
    this.sortBatch();
    if (this.fresh.length > 0) this.sortSoon();
    this.tell();
  }

  /** Turns a batch of new blocks into debts to their homes. */
  private sortBatch(): void {
    const { self, store } = this.options;
    const fresh = this.fresh.splice(0, REPLICATION_BATCH_BLOCKS).filter(({ key }) => store.sealed(key));
    for (const push of pushesOf(fresh, self, (segment) => this.homes(segment))) this.owe(push, 'new', null);
  }

  /** Begins all pushes that are due, and sets the timer for the others. */
  private wake(): void {
    const { clock, share } = this.options;
    if (this.ended) return;
    this.debts.wake(clock.now());
    for (const to of this.debts.recoverable) this.recover(to);
    let nextMs = this.debts.nextDueMs ?? Number.POSITIVE_INFINITY;
    for (const to of this.debts.creditors) {
      const waitMs = Math.max(this.creditors.waitMs(to), this.debts.isDue(to, false) ? 0 : share.waitMs);
      if (waitMs > 0) nextMs = Math.min(nextMs, clock.now() + waitMs);
      else if (this.creditors.begin(to)) setImmediate(() => void this.drain(to));
    }
    this.wakeAt(nextMs);
  }

  /** Debts to this home were dropped: offers it all blocks that it is a home of, a portion at a time. */
  private recover(to: string): void {
    const most = Math.ceil(this.debts.bound / 4);
    while (this.debts.recoverable.includes(to)) {
      const blocks = this.recovery.next(to, most);
      const pushes = pushesOf(blocks, this.options.self, (segment) => this.homes(segment));
      for (const push of pushes) if (push.to === to) this.owe(push, 'check', null);
    }
  }

  private wakeAt(atMs: number): void {
    if (this.waking?.atMs === atMs) return;
    this.waking?.timer.cancel();
    this.waking = null;
    if (atMs === Number.POSITIVE_INFINITY) return;
    const timer = this.options.clock.after(atMs - this.options.clock.now(), () => {
      this.waking = null;
      this.wake();
    });
    this.waking = { atMs, timer };
  }

  private async drain(to: string): Promise<void> {
    while (!this.ended && this.creditors.waitMs(to) === 0 && this.debts.isDue(to, this.repairsMayRun)) {
      await this.serve(to);
      this.tell();
    }
    this.creditors.end(to);
    this.tell();
  }

  private async serve(to: string): Promise<void> {
    const { peers, roster } = this.options;
    // Taken before any block is pinned, so that a reset from now on aborts this push too.
    const { signal } = this.transfers;
    try {
      const target = roster.alive(to);
      if (!target) {
        this.creditors.failed(to);
        return;
      }
      await peers.reach(target, signal);
      await this.turns.acquire();
      try {
        if (!signal.aborted) await this.push(target, signal);
      } finally {
        this.turns.release();
      }
      this.creditors.reset(to);
    } catch {
      if (!signal.aborted) this.creditors.failed(to);
    }
  }

  private async push(target: Announcement, signal: AbortSignal): Promise<void> {
    const { self, store, peers, roster, clock, share, durability, onMoved } = this.options;
    const debts = this.debts.next(target.id, PEER_OFFER_BLOCKS, this.repairsMayRun);
    if (debts.length === 0) return;
    /** Blocks that this worker cannot give. */
    const unready = new Set<BlockKey>();
    const pin = async (key: BlockKey): Promise<PinnedBlock | null> => {
      const pinned = await store.pin(key, 'copy').catch(() => null);
      if (pinned === null) unready.add(key);
      return pinned;
    };
    const startedMs = clock.now();
    const blocks = debts.map(({ block }) => block);
    const admission = admissionOf(durability, roster.ring.members.includes(self));
    const span = this.options.traced?.pushing(target.id, debts) ?? NO_SPAN;
    const pushing = peers.push(target, blocks, pin, signal, admission === 'spare' ? 'repair' : 'offer');
    const taken = await pushEnded(pushing, span);
    if (debts.some(({ cause }) => cause !== 'new')) share.note(clock.now() - startedMs);
    const moved = debts.filter(({ cause, block }) => cause === 'moved' && taken.has(block.key)).length;
    if (moved > 0) onMoved(moved);
    for (const key of taken) this.debts.paid(key, target.id);
    const left = debts.filter(({ block }) => !taken.has(block.key));
    // The push ended at the first block that was not ready: the blocks after it were not tried.
    const untried = unready.size > 0 ? left.filter(({ block }) => !unready.has(block.key)) : [];
    this.debts.postpone(untried);
    const isSpare = ({ block }: Debt) => admission === 'spare' && !unready.has(block.key);
    const refused = left.filter((debt) => !untried.includes(debt));
    this.refused(refused.filter((debt) => !isSpare(debt)));
    this.hadNoRoom(refused.filter(isSpare));
  }

  /** Copies without room, for which nothing may be evicted, are not debts. They are offered a few times, in case memory gets free. */
  private hadNoRoom(debts: readonly Debt[]): void {
    const { clock, random } = this.options;
    for (const [refusals, equal] of this.debts.refuse(debts)) {
      if (refusals < REPLICATION_REFUSALS) this.debts.excuse(equal, clock.now() + pauseMs(refusals, random));
      else for (const { block, to } of equal) this.debts.paid(block.key, to);
    }
  }

  private refused(debts: readonly Debt[]): void {
    const { clock, random } = this.options;
    for (const [refusals, equal] of this.debts.refuse(debts)) {
      if (refusals >= REPLICATION_REFUSALS) this.debts.giveUp(equal);
      else this.debts.rest(equal, clock.now() + pauseMs(refusals, random));
    }
  }

  private get repairsMayRun(): boolean {
    return this.options.share.waitMs === 0;
  }

  private homes(segment: BlockKey): readonly string[] {
    const { roster, replicas } = this.options;
    return roster.ring.homes(segment, replicas);
  }

  private tell(): void {
    this.wake();
    this.options.onLag(this.lagBlocks, this.fresh.length + this.debts.lacking);
    this.idleCondition.notify();
  }
}
