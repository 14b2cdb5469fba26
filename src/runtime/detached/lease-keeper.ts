import { Mutex } from '../../async/mutex.js';
import type { Timer } from '../../clock.js';
import { Overloaded, Unavailable } from '../../errors.js';
import { isValid, LEASE_RENEWAL_MS } from '../core/lease.js';
import type { RuntimeMember } from '../member/member.js';
import type { ActorName } from '../messages.js';
import { type ActorRecords, DETACHED_ACTORS, type NodeLease } from './actor-records.js';

/** The lease of this node on its detached actors, renewed as long as it has some. */

export class LeaseKeeper {
  private readonly names = new Map<string, ActorName>();
  private readonly turn = new Mutex();
  /** When the last renewal that the store took began; null before the first. */
  private renewedMs: number | null = null;
  private beat = 0;
  private isOver = false;
  private renewing: Timer | null = null;
  /** The renewal that waits for its turn. */
  private next: Promise<void> | null = null;

  constructor(
    private readonly member: RuntimeMember,
    private readonly records: ActorRecords,
    /** Another process has taken over the detached actors of this node. */
    private readonly onFenced: () => void,
  ) {}

  start(): void {
    this.renewing = this.member.options.clock.every(LEASE_RENEWAL_MS, () => {
      if (this.names.size > 0 && !this.isOver) this.renew().catch(() => undefined);
    });
  }

  /** Whether detached actors of this node may answer now. */
  get valid(): boolean {
    return !this.isOver && isValid(this.renewedMs, this.member.options.clock.now());
  }

  /**
   * Renews a lease that is over because this process stood still. Whether it is valid again: not if others have taken the actors over, nor while the
   * store cannot be reached.
   */
  async revived(): Promise<boolean> {
    if (this.isOver || this.names.size === 0) return false;
    await this.renew().catch(() => undefined);
    return this.valid;
  }

  /** Lists an actor in the lease before it is created. @throws Unavailable if the store cannot be reached or this node is fenced off, Overloaded */
  async add(id: string, name: ActorName): Promise<void> {
    if (this.names.size >= DETACHED_ACTORS) throw new Overloaded(`this node has ${DETACHED_ACTORS} detached actors`);
    this.names.set(id, name);
    try {
      await this.renew();
    } catch (error) {
      this.names.delete(id);
      throw error;
    }
  }

  remove(id: string): void {
    this.names.delete(id);
  }

  /** Gives all detached actors up, so that others take them over at once. */
  async stop(): Promise<void> {
    this.renewing?.cancel();
    if (this.names.size === 0) return;
    this.isOver = true;
    await this.turn.run(() => this.write(this.member.self.incarnation)).catch(() => undefined);
  }

  /** Renews the lease with what it has to list by then. Calls share the next renewal, so that at most one runs and one waits. */
  private renew(): Promise<void> {
    this.next ??= this.turn.run(() => {
      this.next = null;
      return this.renewNow();
    });
    return this.next;
  }

  private async renewNow(): Promise<void> {
    if (this.isOver) throw new Unavailable('this node gives its detached actors up');
    const beganMs = this.member.options.clock.now();
    if (!(await this.write(null))) {
      this.renewedMs = null;
      this.names.clear();
      this.onFenced();
      throw new Unavailable('this node has lost its detached actors to others');
    }
    this.renewedMs = beganMs;
  }

  /** Writes the lease as it should be. False if this node is fenced off, and others are taking its actors over or have done so. */
  private async write(fencedBy: string | null): Promise<boolean> {
    const { incarnation } = this.member.self;
    const before = await this.records.lease(incarnation);
    const isNew = this.renewedMs === null;
    // Once all its actors have been taken over, a node may have others.
    if (before?.record.fencedBy && (!isNew || before.record.actors.length > 0)) return false;
    const lease: NodeLease = { beat: ++this.beat, actors: [...this.names.values()], fencedBy };
    return this.records.setLease(incarnation, lease, before);
  }
}
