import type { Clock, Timer } from '../src/clock.js';
import type { BlockKey, SealedBlock } from '../src/core/block.js';
import { type HomesOf, type Push, pushesOf, ringChange } from '../src/core/replication.js';
import type { Roster } from '../src/fleet/roster.js';
import {
  REPLICATION_ATTEMPTS,
  REPLICATION_BATCH_BLOCKS,
  REPLICATION_PAUSE_MS,
  REPLICATION_QUEUE_BLOCKS,
} from '../src/limits.js';
import type { PeerClient } from '../src/peer/client.js';
import type { Ring } from '../src/ring/ring.js';
import type { BlockStore } from './block-store.js';

interface Task {
  readonly push: Push<SealedBlock>;
  readonly attempt: number;
  readonly cause: 'new' | 'moved';
}

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
 * Off the reply path: copies new blocks to their homes, and, when the ring changes, blocks to workers that became homes of them. One push at
 * a time, so that transfers do not crowd out requests. A copy that cannot be made is tried again a few times; then the block has one copy less
 * until the ring changes or somebody fetches it.
 */
export class Replicator {
  private readonly fresh: SealedBlock[] = [];
  private tasks: Task[] = [];
  /** Blocks of all tasks. */
  private taskBlocks = 0;
  private readonly retries = new Set<Timer>();
  private transfers = new AbortController();
  private ended = false;
  /** As it was when blocks were last moved, and who was who then. */
  private ring: Ring;
  private incarnations: ReadonlyMap<string, string>;
  private working = false;
  /** Blocks of which a copy could not be made, since the ring changed last. */
  private givenUp = 0;
  private waiters: (() => void)[] = [];

  constructor(private readonly options: ReplicatorOptions) {
    this.ring = options.roster.ring;
    this.incarnations = incarnationsOf(options.roster);
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
    return this.taskBlocks + this.fresh.length;
  }

  /** Resolves when nothing is left to be copied. */
  idle(): Promise<void> {
    if (!this.working && this.lagBlocks === 0 && this.retries.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.waiters.push(resolve);
    });
  }

  stop(): void {
    this.ended = true;
    this.forget();
  }

  /** Lets go of all that waits, and breaks off what is under way. */
  forget(): void {
    this.transfers.abort();
    this.transfers = new AbortController();
    for (const timer of this.retries) timer.cancel();
    this.retries.clear();
    this.setTasks([]);
    this.fresh.length = 0;
    if (!this.working) this.rest();
  }

  private enqueueFresh(block: SealedBlock): void {
    // The oldest goes first: a copy is lost, never an answer.
    if (this.lagBlocks >= REPLICATION_QUEUE_BLOCKS) this.fresh.shift();
    this.fresh.push(block);
    this.work();
  }

  private followRing(): void {
    const { self, store, roster, replicas, clock } = this.options;
    const { ring: before, incarnations } = this;
    if (before.epoch === roster.epoch) return;
    this.ring = roster.ring;
    this.givenUp = 0;
    this.incarnations = incarnationsOf(roster);
    const residents = store.keys().flatMap((key) => store.sealed(key) ?? []);
    // Who was started anew has nothing, as if it had not been there.
    const present = (worker: string) => worker === self || this.incarnations.get(worker) === incarnations.get(worker);
    const homesBefore: HomesOf = (segment) => before.homes(segment, replicas).filter(present);
    const { pushes } = ringChange(residents, self, homesBefore, (segment) => this.homes(segment), present);
    store.reassignRoles();
    // What an earlier ring had moved elsewhere is not moved there any more.
    this.setTasks(this.tasks.filter((task) => task.cause === 'new' || this.isDue(task)));
    for (const push of pushes) this.addTask({ push, attempt: 1, cause: 'moved' });
    // A worker that has just come is not yet known to all: not at once, but soon.
    if (pushes.length > 0) clock.after(0, () => this.work());
  }

  private work(): void {
    if (this.working || this.ended) return;
    this.working = true;
    setImmediate(() => void this.drain());
  }

  private async drain(): Promise<void> {
    const { self, onLag } = this.options;
    for (;;) {
      onLag(this.lagBlocks, this.lagBlocks + this.givenUp);
      const fresh = this.fresh.splice(0, REPLICATION_BATCH_BLOCKS);
      for (const push of pushesOf(fresh, self, (segment) => this.homes(segment))) {
        this.addTask({ push, attempt: 1, cause: 'new' });
      }
      const task = this.tasks.shift();
      if (!task && this.fresh.length === 0) break;
      if (!task) continue;
      this.taskBlocks -= task.push.blocks.length;
      await this.run(task);
    }
    this.working = false;
    onLag(0, this.givenUp);
    if (this.retries.size === 0) this.rest();
  }

  private async run(task: Task): Promise<void> {
    const { store, peers, roster, onMoved } = this.options;
    if (!this.isDue(task)) {
      // The ring has changed: new blocks go to the homes that they have now.
      if (task.cause === 'new') this.fresh.push(...task.push.blocks);
      return;
    }
    const target = roster.alive(task.push.to);
    if (!target) return;
    // Before anything is lent: what is forgotten from now on is not sent.
    const { signal } = this.transfers;
    try {
      const acknowledged = await peers.push(target, task.push.blocks, (key) => store.lend(key), signal);
      if (task.cause === 'moved') onMoved(acknowledged.size);
    } catch {
      if (!signal.aborted) this.again(task);
    }
  }

  private again(task: Task): void {
    if (this.ended) return;
    if (task.attempt >= REPLICATION_ATTEMPTS) {
      this.givenUp += task.push.blocks.length;
      return;
    }
    const timer = this.options.clock.after(REPLICATION_PAUSE_MS * task.attempt, () => {
      this.retries.delete(timer);
      this.addTask({ ...task, attempt: task.attempt + 1 });
      this.work();
    });
    this.retries.add(timer);
  }

  private homes(segment: BlockKey): readonly string[] {
    const { roster, replicas } = this.options;
    return roster.ring.homes(segment, replicas);
  }

  /** Whether the push still goes to a home of its blocks. */
  private isDue({ push }: Task): boolean {
    return this.homes(push.segment).includes(push.to);
  }

  private addTask(task: Task): void {
    this.tasks.push(task);
    this.taskBlocks += task.push.blocks.length;
  }

  private setTasks(tasks: Task[]): void {
    this.tasks = tasks;
    this.taskBlocks = tasks.reduce((sum, { push }) => sum + push.blocks.length, 0);
  }

  private rest(): void {
    for (const go of this.waiters.splice(0)) go();
  }
}

/** Of those who have not died or left. */
function incarnationsOf(roster: Roster): ReadonlyMap<string, string> {
  const alive = roster.members().filter(({ state }) => state !== 'dead');
  return new Map(alive.map(({ id, incarnation }) => [id, incarnation]));
}
