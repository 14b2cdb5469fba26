import { within } from '../../src/async/within.js';
import type { Clock, Timer } from '../../src/clock.js';
import type { Log } from '../../src/log.js';
import type { RequestEntry, TrailEvent } from '../../src/trail/entry.js';
import { Bucket } from '../quota/bucket.js';

/** Writes the audit log in the background: no request waits for it. */

/** Limit on the entries that await their writing. */
const WAITING_ENTRIES = 16_384;
/** Entries that are written at once. */
const BATCH_ENTRIES = 1_024;
/** Pause after a failed write. @internal exported for tests. */
export const TRAIL_PAUSE_MS = 5_000;
/** Refusals of one key, and of all callers without a known key together, that get separate entries: at once, and in the long run. */
const FLOOD = { burst: 200, perSecond: 20 };
/** Limit on the keys whose refusals are counted separately; further keys share one count. */
const FLOODING_KEYS = 1_024;
/** Interval in which others are counted, and lost entries are. */
const COUNT_INTERVAL_MS = 1_000;
/** Time for the last entries when the coordinator stops. */
const CLOSE_MS = 2_000;

/** Takes entries. Never throws, and never waits. */
export interface Trail {
  write(event: TrailEvent): void;
}

/** Where no log is kept. */
export const NO_TRAIL: Trail = { write: () => {} };

export interface FileTrailOptions {
  /** Where the lines go. Each call is made after the one before has settled. */
  readonly file: { append(lines: string): Promise<void>; close(): Promise<void> };
  readonly coordinator: string;
  readonly clock: Clock;
  readonly wallMs: () => number;
  readonly log: Log;
  readonly onEntries: (result: 'written' | 'lost', count: number) => void;
}

/** The refusals of one key that got no entry since they were counted last. */
interface Flood {
  readonly tenant: string | null;
  readonly key: string | null;
  readonly bucket: Bucket;
  count: number;
}

/**
 * A trail in a file. Entries wait in memory while the disk is slow. Entries that find no room there, or that the disk refuses, are lost: they are
 * counted in the metric, and in a separate entry as soon as the disk takes one.
 */
export class FileTrail implements Trail {
  private readonly waiting: string[] = [];
  private writing: Promise<void> | null = null;
  private lost = 0;
  private failing = false;
  private pausedUntilMs = Number.NEGATIVE_INFINITY;
  /** By key, with its tenant; the empty text is for unknown ones. */
  private readonly floods = new Map<string, Flood>();
  private readonly timer: Timer;

  constructor(private readonly options: FileTrailOptions) {
    const { clock } = options;
    this.timer = clock.every(COUNT_INTERVAL_MS, () => this.count());
  }

  write(event: TrailEvent): void {
    if (event.event === 'request' && event.decision === 'refused' && !this.admits(event)) return;
    this.enqueue(event);
  }

  /** Resolves when the entries are written, or given up. */
  async stop(): Promise<void> {
    this.timer.cancel();
    this.pausedUntilMs = Number.NEGATIVE_INFINITY;
    this.count();
    const { clock, file } = this.options;
    const ended = this.writing === null || (await within(clock, CLOSE_MS, this.writing));
    if (this.waiting.length > 0) this.lose(this.waiting.splice(0).length);
    if (this.lost > 0) this.options.log.error({ count: this.lost }, 'entries of the audit log were lost');
    // A disk that does not write now would not close the file either.
    if (ended) await within(clock, CLOSE_MS, file.close());
  }

  /** A flood of refused requests must not push other entries out of the files. */
  private admits({ tenant, key }: Pick<RequestEntry, 'tenant' | 'key'>): boolean {
    const nowMs = this.options.clock.now();
    const named = key === null ? '' : `${tenant}/${key}`;
    const name = this.floods.has(named) || this.floods.size < FLOODING_KEYS ? named : '';
    const flood = this.floods.get(name) ?? {
      ...(name === '' ? { tenant: null, key: null } : { tenant, key }),
      bucket: new Bucket(FLOOD.burst, FLOOD.perSecond / 1_000, nowMs),
      count: 0,
    };
    this.floods.set(name, flood);
    if (flood.bucket.content(nowMs) < 1) {
      flood.count++;
      return false;
    }
    flood.bucket.take(1, nowMs);
    return true;
  }

  private count(): void {
    const nowMs = this.options.clock.now();
    for (const [name, { tenant, key, bucket, count }] of this.floods) {
      if (count > 0) this.enqueue({ event: 'refused_without_entry', tenant, key, count });
      if (bucket.missing(nowMs) === 0) this.floods.delete(name);
      else this.floods.set(name, { tenant, key, bucket, count: 0 });
    }
    this.wake();
  }

  private enqueue(event: TrailEvent): void {
    if (this.waiting.length >= WAITING_ENTRIES) this.lose(1);
    else this.waiting.push(this.lineOf(event));
    this.wake();
  }

  private lineOf(event: TrailEvent): string {
    const { wallMs, coordinator } = this.options;
    return `${JSON.stringify({ time: new Date(wallMs()).toISOString(), coordinator, ...event })}\n`;
  }

  private wake(): void {
    if (this.writing !== null || this.options.clock.now() < this.pausedUntilMs) return;
    if (this.waiting.length === 0 && this.lost === 0) return;
    this.writing = this.writeAll().finally(() => {
      this.writing = null;
    });
  }

  private async writeAll(): Promise<void> {
    const { file, clock, log, onEntries } = this.options;
    while (this.waiting.length > 0 || this.lost > 0) {
      const counted = this.lost;
      const batch = this.waiting.splice(0, BATCH_ENTRIES);
      const head = counted > 0 ? this.lineOf({ event: 'entries_lost', count: counted }) : '';
      try {
        await file.append(head + batch.join(''));
      } catch (err) {
        this.lose(batch.length);
        if (!this.failing) log.error({ err }, 'the audit log cannot be written: its entries are lost until it can');
        this.failing = true;
        this.pausedUntilMs = clock.now() + TRAIL_PAUSE_MS;
        return;
      }
      this.lost -= counted;
      if (batch.length > 0) onEntries('written', batch.length);
      if (this.failing) log.error({ lost: counted }, 'the audit log can be written again');
      this.failing = false;
    }
  }

  private lose(count: number): void {
    this.lost += count;
    this.options.onEntries('lost', count);
  }
}
