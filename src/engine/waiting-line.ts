import { Overloaded } from '../errors.js';
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
 * Sequences without a slot, in order of arrival. The prefixes of the first few are loaded while they wait; not of all, because loaded blocks
 * are pinned. Sequences whose prefix is ready leave in order of arrival, and may overtake sequences whose prefix is still loading. Once a
 * loading sequence has been overtaken `PREFIX_OVERTAKERS` times, all sequences behind it wait, lest it starve. So each sequence waits for
 * those before it, and for a bounded number of later ones.
 */
export class WaitingLine {
  private readonly cache: PrefixCache;
  private readonly maxLength: number;
  private readonly prepareCount: number;
  private readonly onReady: () => void;
  private readonly onFailed: (sequence: Sequence, error: unknown) => void;
  private readonly line: Sequence[] = [];
  /** The number of later sequences that have overtaken a sequence. */
  private readonly overtakers = new WeakMap<Sequence, number>();

  /**
   * @param options.maxLength the maximum length of the line
   * @param options.prepareCount the number of sequences, from the head, whose prefixes are loaded
   * @param options.onReady called when `dequeue` may return a sequence
   * @param options.onFailed called when a prefix cannot be prepared; must `remove` the sequence
   */
  constructor(options: {
    cache: PrefixCache;
    maxLength: number;
    prepareCount: number;
    onReady: () => void;
    onFailed: (sequence: Sequence, error: unknown) => void;
  }) {
    this.cache = options.cache;
    this.maxLength = options.maxLength;
    this.prepareCount = options.prepareCount;
    this.onReady = options.onReady;
    this.onFailed = options.onFailed;
  }

  get length(): number {
    return this.line.length;
  }

  /**
   * Appends a sequence.
   * @param onEnqueued called before the loading of its prefix starts
   * @throws Overloaded if the line is full
   */
  enqueue(sequence: Sequence, onEnqueued: () => void): void {
    if (this.line.length >= this.maxLength) {
      throw new Overloaded(
        `cannot queue the request: ${this.maxLength} requests already wait on this worker; try again later, or another worker`,
      );
    }
    this.line.push(sequence);
    onEnqueued();
    this.prepareAhead();
  }

  /** Puts a sequence that has started over at the head. It had left the line before, so it does not count against the limit. */
  enqueueFirst(sequence: Sequence): void {
    this.line.unshift(sequence);
    this.prepareAhead();
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
    this.splice(sequence);
    // Sequences behind it may have waited for it.
    if (this.ready) this.onReady();
  }

  sequences(): readonly Sequence[] {
    return [...this.line];
  }

  /** The first sequence whose prefix is ready, unless one before it has been overtaken too often. */
  private peek(): ReadySequence | null {
    for (const sequence of this.line) {
      const { state } = sequence;
      if (state.name === 'ready') return { sequence, prefix: state.prefix };
      if ((this.overtakers.get(sequence) ?? 0) >= PREFIX_OVERTAKERS) return null;
    }
    return null;
  }

  private countOvertaken(by: Sequence): void {
    for (const sequence of this.line) {
      if (sequence === by) return;
      this.overtakers.set(sequence, (this.overtakers.get(sequence) ?? 0) + 1);
    }
  }

  private splice(sequence: Sequence): void {
    this.line.splice(this.line.indexOf(sequence), 1);
    this.prepareAhead();
  }

  private prepareAhead(): void {
    for (const sequence of this.line.slice(0, this.prepareCount)) {
      if (sequence.state.name === 'waiting') void this.prepare(sequence);
    }
  }

  private async prepare(sequence: Sequence): Promise<void> {
    sequence.transition({ name: 'preparing' });
    const { requestId, sources } = sequence.request;
    try {
      const blocks = sequence.prefixBlocks();
      const prefix = await this.cache.prepare({ requestId, blocks, sources }, sequence.signal);
      if (sequence.state.name !== 'preparing') {
        releasePrefix(prefix);
        return;
      }
      sequence.backlog?.have(prefix.blocks.length);
      sequence.transition({ name: 'ready', prefix });
      this.onReady();
    } catch (error) {
      if (sequence.state.name === 'preparing') this.onFailed(sequence, error);
    }
  }
}

function releasePrefix(prefix: PreparedPrefix): void {
  prefix.unpin();
  prefix.settle();
}
