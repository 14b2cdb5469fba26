/** Whether the store behind a transport's buckets works, as the last requests of this process showed. */

/** Whether a request to a store only reads. */
export type StoreRequest = 'read' | 'write';

/** A fault of a store: for `writes` it may still answer reads, for `all` it answers nothing. */
export interface StoreFault {
  readonly of: 'writes' | 'all';
  /** Whether a further request would hold up the connection, with all that goes over it. */
  readonly holdsUp: boolean;
  /** For people, with a remedy. */
  readonly why: string;
}

/**
 * How long a store whose requests hold up the connection is left alone: a short time at first, because a server that stood still for seconds looks
 * the same, and twice as long after each further request that it did not answer.
 */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

interface KnownFault extends StoreFault {
  readonly bucket: string;
  readonly untilMs: number;
  readonly pauseMs: number;
  readonly server: string | undefined;
}

export class StoreState {
  /** By bucket: a server may answer about one, and not about another. */
  private readonly faults = new Map<string, KnownFault>();
  /** By bucket: why it takes no values, by what the server said of it last. */
  private readonly closed = new Map<string, string>();
  private everAnswered = false;

  constructor(private readonly longestPauseMs: number = LONGEST_PAUSE_MS) {}

  /**
   * A fault of the store, with the first bucket that showed it and the reasons of all; null if all buckets answered last, or if nothing is known of them.
   * What the server says of a bucket tells more than requests that failed.
   */
  get fault(): (StoreFault & { readonly bucket: string }) | null {
    const failed = [...this.faults].filter(([bucket]) => !this.closed.has(bucket));
    const reasons = [...this.closed.values(), ...failed.map(([, { why }]) => why)];
    const why = [...new Set(reasons)].join('; ');
    for (const bucket of this.closed.keys()) return { of: 'writes', holdsUp: false, bucket, why };
    for (const [, fault] of failed) return { ...fault, why };
    return null;
  }

  /** Why a bucket takes no values, by what the server said of it last; null if it does. */
  closedBecause(bucket: string): string | null {
    return this.closed.get(bucket) ?? null;
  }

  /** Whether it has answered at all. */
  get worked(): boolean {
    return this.everAnswered;
  }

  /** Why a bucket is not to be asked now; null if it may be. Another server is asked at once. */
  pausedBecause(bucket: string, request: StoreRequest, nowMs: number, server: string | undefined): string | null {
    const last = this.faults.get(bucket);
    if (!last?.holdsUp || last.server !== server || nowMs >= last.untilMs) return null;
    if (last.of === 'writes' && request === 'read') return null;
    return last.why;
  }

  /** A request succeeded. One that only reads does not prove that the store takes writes again. */
  answered(bucket: string, request: StoreRequest): void {
    this.everAnswered = true;
    if (request === 'write' || this.faults.get(bucket)?.of === 'all') this.faults.delete(bucket);
  }

  /** The server has described a bucket. `why`: it takes no values, or not all; null if it does. */
  described(bucket: string, why: string | null): void {
    if (why === null) this.closed.delete(bucket);
    else this.closed.set(bucket, why);
  }

  /** The store of `server` did not do what it was asked to at `askedMs`. */
  failed(
    bucket: string,
    fault: StoreFault,
    nowMs: number,
    server: string | undefined,
    { askedMs = nowMs }: { readonly askedMs?: number } = {},
  ): void {
    // A store that answers nothing does not confirm writes either.
    const last = this.faults.get(bucket);
    const of = last?.of === 'all' ? 'all' : fault.of;
    const known = last?.holdsUp === true && last.server === server ? last : null;
    // Requests that were on their way together tell of one silence.
    if (known !== null && askedMs < known.untilMs) {
      this.faults.set(bucket, { ...fault, of, bucket, server, pauseMs: known.pauseMs, untilMs: known.untilMs });
      return;
    }
    const pauseMs = Math.min(known === null ? FIRST_PAUSE_MS : 2 * known.pauseMs, this.longestPauseMs);
    this.faults.set(bucket, { ...fault, of, bucket, server, pauseMs, untilMs: nowMs + pauseMs });
  }
}
