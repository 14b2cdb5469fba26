import { setMaxListeners } from 'node:events';
import { IdleCondition } from '../../src/async/idle.js';
import { Semaphore } from '../../src/async/semaphore.js';
import type { Clock } from '../../src/clock.js';
import type { BlockKey, SealedBlock } from '../../src/core/block.js';
import type { Announcement } from '../../src/core/member.js';
import { type HomesOf, type Push, pushesOf, ringChange } from '../../src/core/replication.js';
import type { Roster } from '../../src/fleet/roster.js';
import { FLEET_WORKERS } from '../../src/limits.js';
import type { PeerClient } from '../../src/peer/client/peer-client.js';
import type { Ring } from '../../src/ring/ring.js';
import type { BlockStore } from '../cache/block-store.js';
import { PushQueue, type PushTask } from './push-queue.js';

/** Copies new blocks to their homes, and blocks to workers that become homes. */

/** Blocks that wait to be pushed to their homes. The oldest is dropped first: a copy is lost, never an answer. @internal exported for tests. */
export const REPLICATION_QUEUE_BLOCKS = 8192;
/** Fresh blocks that are sorted by home at a time. */
const REPLICATION_BATCH_BLOCKS = 64;
/** Tries to copy a block, and the pause before each further one. @internal exported for tests. */
export const REPLICATION_ATTEMPTS = 4;
/** @internal exported for tests. */
export const REPLICATION_PAUSE_MS = 500;
/** Homes that are pushed to at a time, so that a slow one does not hold up the others, and transfers do not crowd out requests. */
const REPLICATION_PUSHES = 2;
/** After a change of the ring, when those who do not give the copies make sure that they are there. @internal exported for tests. */
export const REPLICATION_CHECK_MS = 5_000;
/** By then a new home has its copies, unless the worker that was to give them was lost; and as many changes of the ring are remembered meanwhile. @internal exported for tests. */
export const REPLICATION_SETTLE_MS = 60_000;
const REPLICATION_PAST_RINGS = 16;

export interface ReplicatorOptions {
  readonly self: string;
  readonly store: BlockStore;
  readonly peers: PeerClient;
  readonly roster: Roster;
  readonly clock: Clock;
  readonly replicas: number;
  /** How many blocks wait now, and how many of a push came to be held by another because the ring changed. */
  readonly onLag: (waitingBlocks: number, lackingBlocks: number) => void;
  readonly onMoved: (blocks: number) => void;
}

/**
 * Copies new blocks to their homes, and, when the ring changes, blocks to workers that became homes of them, all off the reply path. Each home gets
 * one push at a time, and few homes are served at a time, so that transfers do not crowd out requests; a home that cannot be reached does not delay
 * the others. A copy that fails, or that the home refuses, is tried again a few times; then the block has one copy less until the ring changes or
 * a worker fetches it.
 */
export class Replicator {
  private readonly fresh: SealedBlock[] = [];
  private readonly queue: PushQueue;
  private readonly turns = new Semaphore(REPLICATION_PUSHES);
  /** Homes that are being pushed to. */
  private readonly busy = new Set<string>();
  private sorting = false;
  private transfers = abortable();
  private ended = false;
  /** The ring when blocks were last moved, and the incarnation of each worker then. */
  private ring: Ring;
  private incarnations: ReadonlyMap<string, string>;
  /** The homes of the last few rings. Before this worker joined, no block had any, for all that this worker knows. */
  private past: { readonly homesOf: HomesOf; readonly untilMs: number }[];
  /** Copies that failed for good since the ring changed last, in blocks. */
  private givenUp = 0;
  private readonly idleCondition = new IdleCondition(() => this.busy.size === 0 && this.lagBlocks === 0);

  constructor(private readonly options: ReplicatorOptions) {
    this.queue = new PushQueue(options.clock, (to) => this.work(to));
    this.ring = options.roster.ring;
    this.incarnations = incarnationsOf(options.roster);
    this.past = [{ homesOf: () => [], untilMs: options.clock.now() }];
    options.store.listen({
      added: (block, origin) => {
        if (origin === 'computed') this.enqueueFresh(block);
      },
    });
    options.roster.listen((effect) => {
      if (effect.type === 'changed') this.followRing();
    });
  }

  /** Blocks that wait for a copy. */
  get lagBlocks(): number {
    return this.waitingNew + this.queue.waiting('moved');
  }

  /** Resolves when this worker has no copy left to make. */
  idle(): Promise<void> {
    return this.idleCondition.wait();
  }

  stop(): void {
    this.ended = true;
    this.forget();
  }

  /** Drops all waiting pushes, and aborts those under way. */
  forget(): void {
    this.transfers.abort();
    this.transfers = abortable();
    this.queue.clear();
    this.fresh.length = 0;
    this.idleCondition.notify();
  }

  private get waitingNew(): number {
    return this.fresh.length + this.queue.waiting('new');
  }

  private enqueueFresh(block: SealedBlock): void {
    // Drop the oldest: that costs a copy, never an answer.
    if (this.waitingNew >= REPLICATION_QUEUE_BLOCKS) this.dropOldest();
    this.fresh.push(block);
    this.sortSoon();
  }

  private dropOldest(): void {
    const dropped = this.queue.dropNew()?.push.blocks.length;
    if (dropped === undefined) this.fresh.shift();
    this.givenUp += dropped ?? 1;
  }

  private followRing(): void {
    const { self, store, roster, clock, replicas } = this.options;
    const { ring: before, incarnations } = this;
    if (this.ended || before.epoch === roster.epoch) return;
    this.ring = roster.ring;
    this.givenUp = 0;
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
    const checks = new Set(change.checks.map(nameOf));
    // Moves that an earlier ring asked for are dropped if this ring does not, and no push is checked twice.
    this.queue.keep(({ cause, push }) => {
      if (cause === 'check' && checks.has(nameOf(push))) return false;
      return cause === 'new' || this.isDue(push);
    });
    // Not at once: the peers may not know yet of a worker that has just joined.
    this.queue.addLater(tasksOf(change.pushes, 'moved'), 0);
    this.queue.addLater(tasksOf(change.checks, 'check'), REPLICATION_CHECK_MS);
    this.tell();
  }

  private sortSoon(): void {
    if (this.sorting || this.ended) return;
    this.sorting = true;
    setImmediate(() => this.sort());
  }

  /** Moves a batch of new blocks into the queues of their homes. */
  private sort(): void {
    this.sorting = false;
    const fresh = this.fresh.splice(0, REPLICATION_BATCH_BLOCKS);
    const pushes = pushesOf(fresh, this.options.self, (segment) => this.homes(segment));
    for (const task of tasksOf(pushes, 'new')) this.queue.add(task);
    if (this.fresh.length > 0) this.sortSoon();
    this.tell();
  }

  private work(to: string): void {
    if (this.busy.has(to) || this.ended) return;
    this.busy.add(to);
    setImmediate(() => void this.drain(to));
  }

  private async drain(to: string): Promise<void> {
    for (let task = this.queue.next(to); task; task = this.queue.next(to)) {
      await this.run(task);
      this.tell();
    }
    this.busy.delete(to);
    this.tell();
  }

  private async run(task: PushTask): Promise<void> {
    const { peers, roster } = this.options;
    const { to } = task.push;
    if (!this.isDue(task.push)) {
      this.sortAnew(task);
      return;
    }
    const target = roster.alive(to);
    if (!target) return;
    // Taken before any block is pinned, so that a reset from now on aborts this push too.
    const { signal } = this.transfers;
    try {
      await peers.reach(target, signal);
    } catch {
      if (signal.aborted) return;
      this.again(task);
      // All other pushes to this home wait as long; pushes to other homes do not.
      this.queue.addLater(this.queue.all(to), pauseAfter(task));
      return;
    }
    await this.turns.acquire();
    try {
      await this.push(task, target, signal);
    } catch {
      if (!signal.aborted) this.again(task);
    } finally {
      this.turns.release();
    }
  }

  private async push(task: PushTask, target: Announcement, signal: AbortSignal): Promise<void> {
    const { store, peers, onMoved } = this.options;
    const blocks = task.push.blocks.filter(({ key }) => store.sealed(key));
    const taken = await peers.push(target, blocks, (key) => store.pin(key), signal);
    if (task.cause === 'moved') onMoved(taken.size);
    const lacking = blocks.filter(({ key }) => !taken.has(key) && store.sealed(key));
    if (lacking.length > 0) this.again({ ...task, push: { ...task.push, blocks: lacking } });
  }

  /** The ring has changed: new blocks go to the homes that they have now. */
  private sortAnew({ cause, push }: PushTask): void {
    if (cause !== 'new') return;
    this.fresh.push(...push.blocks);
    this.sortSoon();
  }

  private again(task: PushTask): void {
    if (this.ended) return;
    if (task.attempt < REPLICATION_ATTEMPTS) {
      this.queue.addLater([{ ...task, attempt: task.attempt + 1 }], pauseAfter(task));
    } else {
      this.givenUp += task.push.blocks.length;
    }
  }

  private homes(segment: BlockKey): readonly string[] {
    const { roster, replicas } = this.options;
    return roster.ring.homes(segment, replicas);
  }

  /** Whether the push still goes to a home of its blocks. */
  private isDue({ segment, to }: Push<SealedBlock>): boolean {
    return this.homes(segment).includes(to);
  }

  private tell(): void {
    this.options.onLag(this.lagBlocks, this.lagBlocks + this.givenUp);
    this.idleCondition.notify();
  }
}

/** An abort controller for transfers to all workers of a fleet at once. */
function abortable(): AbortController {
  const controller = new AbortController();
  setMaxListeners(FLEET_WORKERS, controller.signal);
  return controller;
}

function tasksOf(pushes: readonly Push<SealedBlock>[], cause: PushTask['cause']): PushTask[] {
  return pushes.map((push) => ({ push, attempt: 1, cause }));
}

/** Milliseconds until the next attempt. */
function pauseAfter({ attempt }: PushTask): number {
  return REPLICATION_PAUSE_MS * attempt;
}

/** A name that pushes of the same segment to the same worker share. */
function nameOf({ segment, to }: Push<SealedBlock>): string {
  return `${segment} ${to}`;
}

/** The incarnations of all workers that have not died or left. */
function incarnationsOf(roster: Roster): ReadonlyMap<string, string> {
  const alive = roster.members().filter(({ state }) => state !== 'dead');
  return new Map(alive.map(({ id, incarnation }) => [id, incarnation]));
}
