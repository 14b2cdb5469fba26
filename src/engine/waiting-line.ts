import { Overloaded } from '../errors.js';
import type { PrefixCache, PreparedPrefix } from './prefix-cache.js';
import type { Sequence } from './sequence.js';

/** Later sequences that a worker begins before one whose prefix is still being brought; then they wait for it. @internal exported for tests. */
export const PREFIX_OVERTAKERS = 32;

export interface ReadySequence {
  readonly sequence: Sequence;
  readonly prefix: PreparedPrefix;
}

/**
 * Sequences that have no lane yet, in order of arrival. The prefixes of the first few are brought while they wait; not of all, because what
 * is brought is pinned. Among those whose prefix is there the first come is the first served: none waits for the network of another, until
 * so many have overtaken one that is still without its prefix that it might never get it because of them. So nobody waits for more than what
 * was before it, and a bounded number of those who came later.
 */
export class WaitingLine {
  private readonly cache: PrefixCache;
  private readonly longest: number;
  private readonly ahead: number;
  private readonly onReady: () => void;
  private readonly onFailed: (sequence: Sequence, error: unknown) => void;
  private readonly line: Sequence[] = [];
  /** How many later ones were taken before a sequence. */
  private readonly overtakers = new WeakMap<Sequence, number>();

  /** @param ahead for how many sequences prefixes are brought at a time */
  constructor(options: {
    cache: PrefixCache;
    longest: number;
    ahead: number;
    onReady: () => void;
    onFailed: (sequence: Sequence, error: unknown) => void;
  }) {
    this.cache = options.cache;
    this.longest = options.longest;
    this.ahead = options.ahead;
    this.onReady = options.onReady;
    this.onFailed = options.onFailed;
  }

  get length(): number {
    return this.line.length;
  }

  /**
   * @param onJoined called once it is in the line, before anything is done for it
   * @throws Overloaded if the line is as long as it may be
   */
  join(sequence: Sequence, onJoined: () => void): void {
    if (this.line.length >= this.longest) {
      throw new Overloaded(`${this.longest} requests wait in this worker already: try again later, or another worker`);
    }
    this.line.push(sequence);
    onJoined();
    this.prepareAhead();
  }

  /** Whether `take` may find one. */
  get ready(): boolean {
    return this.next() !== null;
  }

  /** Takes the next sequence out of the line, with its prefix claimed. Null if none is to begin now. */
  take(): ReadySequence | null {
    for (let next = this.next(); next !== null; next = this.next()) {
      const { sequence, prefix } = next;
      if (prefix.claim()) {
        this.noteOvertaken(sequence);
        this.drop(sequence);
        return next;
      }
      giveBack(prefix);
      sequence.to({ name: 'waiting' });
    }
    this.prepareAhead();
    return null;
  }

  /** Takes a sequence that nobody wants any more out of the line. */
  leave(sequence: Sequence): void {
    if (sequence.state.name === 'ready') giveBack(sequence.state.prefix);
    sequence.to({ name: 'ended' });
    this.drop(sequence);
    // Others may have been held up for it.
    if (this.ready) this.onReady();
  }

  sequences(): readonly Sequence[] {
    return [...this.line];
  }

  /** The first whose prefix is there, unless one before it has been overtaken too often. */
  private next(): ReadySequence | null {
    for (const sequence of this.line) {
      const { state } = sequence;
      if (state.name === 'ready') return { sequence, prefix: state.prefix };
      if ((this.overtakers.get(sequence) ?? 0) >= PREFIX_OVERTAKERS) return null;
    }
    return null;
  }

  private noteOvertaken(by: Sequence): void {
    for (const sequence of this.line) {
      if (sequence === by) return;
      this.overtakers.set(sequence, (this.overtakers.get(sequence) ?? 0) + 1);
    }
  }

  private drop(sequence: Sequence): void {
    this.line.splice(this.line.indexOf(sequence), 1);
    this.prepareAhead();
  }

  private prepareAhead(): void {
    for (const sequence of this.line.slice(0, this.ahead)) {
      if (sequence.state.name === 'waiting') void this.prepare(sequence);
    }
  }

  private async prepare(sequence: Sequence): Promise<void> {
    sequence.to({ name: 'preparing' });
    const { requestId, sources } = sequence.request;
    try {
      const blocks = sequence.prefixBlocks();
      const prefix = await this.cache.prepare({ requestId, blocks, sources }, sequence.signal);
      if (sequence.state.name !== 'preparing') {
        giveBack(prefix);
        return;
      }
      sequence.to({ name: 'ready', prefix });
      this.onReady();
    } catch (error) {
      if (sequence.state.name === 'preparing') this.onFailed(sequence, error);
    }
  }
}

function giveBack(prefix: PreparedPrefix): void {
  prefix.unpin();
  prefix.settle();
}
