import { type FairShares, promptCost, type Tenant } from '../core/fair-shares.js';
import { Overloaded } from '../errors.js';
import type { SpanAttributes } from '../trace/span.js';
import type { Adapters } from './adapters.js';
import type { PrefixCache, PreparedPrefix } from './prefix-cache.js';
import type { Sequence } from './sequence.js';

/** The queue of sequences that wait for a slot, and the loading of their prefixes. */

/** Later sequences that may overtake one whose prefix is still loading; then the line waits for it. @internal exported for tests. */
export const PREFIX_OVERTAKERS = 32;

export interface ReadySequence {
  readonly sequence: Sequence;
  readonly prefix: PreparedPrefix;
}

/**
 * Sequences without a slot. Tenants take turns by the computation done for them (`FairShares`), and a tenant's sequences go in order of arrival. The
 * prefixes of the first few are loaded while they wait; not of all, because loaded blocks are pinned. Sequences whose prefix is ready leave in
 * this order, and may overtake sequences whose prefix is still loading. To prevent starvation, once a loading sequence has been overtaken
 * `PREFIX_OVERTAKERS` times, all sequences of its tenant behind it wait. So a sequence waits for earlier ones and for a bounded number of later ones.
 */
export class WaitingLine {
  private readonly cache: PrefixCache;
  private readonly adapters: Adapters | null;
  private readonly maxLength: number;
  private readonly prepareCount: number;
  private readonly onReady: () => void;
  private readonly onFailed: (sequence: Sequence, error: unknown) => void;
  private readonly shares: FairShares;
  private readonly slots: number;
  private readonly clockNow: () => number;
  /** In order of arrival. */
  private readonly line: Sequence[] = [];
  /** The number of later sequences that have overtaken a sequence. */
  private readonly overtakers = new WeakMap<Sequence, number>();

  /**
   * @param options.adapters null if no sequence has one
   * @param options.maxLength the maximum length of the line
   * @param options.prepareCount the number of sequences, from the head, whose prefixes are loaded
   * @param options.shares gets the sequences that wait and the ones that start
   * @param options.slots the sequences that can run at a time
   * @param options.onReady called when `dequeue` may return a sequence
   * @param options.onFailed called when a prefix cannot be prepared; must `remove` the sequence
   */
  constructor(options: {
    cache: PrefixCache;
    adapters: Adapters | null;
    maxLength: number;
    prepareCount: number;
    shares: FairShares;
    slots: number;
    clockNow: () => number;
    onReady: () => void;
    onFailed: (sequence: Sequence, error: unknown) => void;
  }) {
    this.cache = options.cache;
    this.adapters = options.adapters;
    this.maxLength = options.maxLength;
    this.prepareCount = options.prepareCount;
    this.shares = options.shares;
    this.slots = options.slots;
    this.clockNow = options.clockNow;
    this.onReady = options.onReady;
    this.onFailed = options.onFailed;
  }

  get length(): number {
    return this.line.length;
  }

  /**
   * Appends a sequence. If the line is full, a sequence of a tenant with more of them gives its place up, and fails with `Overloaded`.
   * @param onEnqueued called before the loading of its prefix starts
   * @throws Overloaded if the line is full
   */
  enqueue(sequence: Sequence, onEnqueued: () => void): void {
    if (this.line.length >= this.maxLength) this.makePlace(sequence.tenant);
    this.line.push(sequence);
    this.shares.waits(sequence.tenant, this.clockNow());
    onEnqueued();
    this.prepareAhead();
  }

  /**
   * Puts a sequence that ran, and waits again, before the others of its tenant. It had left the line before, so it does not count against the limit.
   */
  enqueueFirst(sequence: Sequence): void {
    this.shares.pauses(sequence.tenant, this.clockNow());
    this.line.unshift(sequence);
    this.prepareAhead();
  }

  /** The sequence that `dequeue` would return if its prefix can be claimed; null if none may start now. */
  get next(): Sequence | null {
    return this.peek()?.sequence ?? null;
  }

  /** Whether `dequeue` may return a sequence. */
  get ready(): boolean {
    return this.peek() !== null;
  }

  /** Removes and returns the next sequence, with its prefix claimed. Null if none may start now. */
  dequeue(): ReadySequence | null {
    for (let next = this.peek(); next !== null; next = this.peek()) {
      const { sequence, prefix } = next;
      if (prefix.claim()) {
        this.countOvertaken(sequence);
        this.shares.starts(sequence.tenant, this.clockNow());
        this.splice(sequence);
        return next;
      }
      releasePrefix(prefix);
      sequence.transition({ name: 'waiting' });
    }
    this.prepareAhead();
    return null;
  }

  /** Removes and ends a sequence that was cancelled or has failed. */
  remove(sequence: Sequence): void {
    if (sequence.state.name === 'ready') releasePrefix(sequence.state.prefix);
    sequence.transition({ name: 'ended' });
    this.shares.leaves(sequence.tenant, this.clockNow());
    this.splice(sequence);
    // Sequences behind it may have waited for it.
    if (this.ready) this.onReady();
  }

  sequences(): readonly Sequence[] {
    return [...this.line];
  }

  /** The first sequence whose prefix is ready and whose tenant may start one, unless one of its tenant before it has been overtaken too often. */
  private peek(): ReadySequence | null {
    const passed = new Set<string>();
    for (const sequence of this.inOrder()) {
      const { state, tenant } = sequence;
      if (passed.has(tenant.name)) continue;
      if (!this.shares.mayStart(tenant, this.slots)) passed.add(tenant.name);
      else if (state.name === 'ready') return { sequence, prefix: state.prefix };
      else if ((this.overtakers.get(sequence) ?? 0) >= PREFIX_OVERTAKERS) passed.add(tenant.name);
    }
    return null;
  }

  /** Before its prefix is loaded, a prompt counts as wholly uncached. */
  private inOrder(): Generator<Sequence> {
    return this.shares.inOrder(this.line, ({ length }) => promptCost(0, length));
  }

  /** Takes a place from the tenant with most of them, if it has more than `tenant` would have. */
  private makePlace(tenant: Tenant): void {
    const full = `cannot queue the request: ${this.maxLength} requests already wait on this worker; try again later, or another worker`;
    const greediest = this.line.reduce<Sequence | null>((most, sequence) => {
      return most !== null && this.placesOf(most) > this.placesOf(sequence) ? most : sequence;
    }, null);
    if (greediest === null || this.placesOf(greediest) <= (this.shares.waitingOf(tenant) + 1) / tenant.weight) {
      throw new Overloaded(full);
    }
    this.onFailed(greediest, new Overloaded(full));
  }

  private placesOf({ tenant }: Sequence): number {
    return this.shares.waitingOf(tenant) / tenant.weight;
  }

  private countOvertaken(by: Sequence): void {
    for (const sequence of this.inOrder()) {
      if (sequence === by) return;
      this.overtakers.set(sequence, (this.overtakers.get(sequence) ?? 0) + 1);
    }
  }

  private splice(sequence: Sequence): void {
    this.line.splice(this.line.indexOf(sequence), 1);
    this.prepareAhead();
  }

  private prepareAhead(): void {
    let count = 0;
    for (const sequence of this.inOrder()) {
      if (++count > this.prepareCount) return;
      if (sequence.state.name === 'waiting') void this.prepare(sequence);
    }
  }

  private async prepare(sequence: Sequence): Promise<void> {
    sequence.transition({ name: 'preparing' });
    const { requestId, sources } = sequence.request;
    const span = sequence.record.current.child('shoal.prefix');
    try {
      await this.leaseAdapter(sequence);
      if (sequence.state.name !== 'preparing') return;
      const blocks = sequence.prefixBlocks();
      const cache = sequence.ownCache ?? this.cache;
      const prefix = await cache.prepare({ requestId, blocks, sources, span }, sequence.signal);
      span.set({ 'shoal.blocks.wanted': blocks.length, ...sourcesOf(prefix) });
      if (sequence.state.name !== 'preparing') {
        releasePrefix(prefix);
        return;
      }
      sequence.backlog?.have(prefix.blocks.length);
      sequence.transition({ name: 'ready', prefix });
      this.onReady();
    } catch (error) {
      if (sequence.state.name === 'preparing') this.onFailed(sequence, error);
    } finally {
      span.end();
    }
  }

  /** Loads the sequence's adapter, unless it has it from an earlier time in the line. */
  private async leaseAdapter(sequence: Sequence): Promise<void> {
    const { adapter } = sequence.request;
    if (adapter === undefined || sequence.lease !== null || this.adapters === null) return;
    const lease = await this.adapters.lease(adapter, sequence.signal);
    if (sequence.state.name === 'preparing') sequence.lease = lease;
    else lease.release();
  }
}

function sourcesOf({ localBlocks, remoteBlocks }: PreparedPrefix): SpanAttributes {
  return { 'shoal.blocks.local': localBlocks, 'shoal.blocks.remote': remoteBlocks };
}

function releasePrefix(prefix: PreparedPrefix): void {
  prefix.unpin();
  prefix.settle();
}
