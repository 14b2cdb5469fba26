import type { KeyValue, KeyValueEntry } from '../../src/bus/key-value.js';
import type { Clock } from '../../src/clock.js';
import { Unavailable } from '../../src/errors.js';

/**
 * The time of day by the clock of a bucket's store, the one clock that all coordinators share: their own may be wrong by days.
 *
 * A value that has changed since it was last read was written in between, and the store says when. The lease changes every second, so that the time is
 * never off by much more. Between two readings this process's monotonic clock counts on.
 */

/** Longest time between two readings of a key for the second to tell the time. */
const READINGS_MS = 2_500;
/** Limit on the keys whose readings are remembered. */
const KEYS_KEPT = 1_024;
/** A value that is written where nothing else has changed lately. */
const KEY = 'clock';

interface Reading {
  /** Null for a value that was about to be written. */
  readonly revision: number | null;
  readonly atMs: number;
}

export class StoreTime implements KeyValue {
  private readonly readings = new Map<string, Reading>();
  private aheadMs: number | null = null;

  constructor(
    private readonly below: KeyValue,
    private readonly clock: Pick<Clock, 'now'>,
  ) {}

  /** Milliseconds since 1970; null if this process does not know it yet. */
  get latestMs(): number | null {
    return this.aheadMs === null ? null : this.clock.now() + this.aheadMs;
  }

  /** Milliseconds since 1970. @throws Unavailable if the store cannot be reached and was not before */
  async now(): Promise<number> {
    if (this.latestMs === null) {
      const found = await this.get(KEY);
      // It tells the time, too, if another process writes it now.
      await (found ? this.update(KEY, new Uint8Array(1), found.revision) : this.create(KEY, new Uint8Array(1)));
      await this.get(KEY);
    }
    const nowMs = this.latestMs;
    if (nowMs === null) throw new Unavailable('cannot learn the time of the NATS server; retry');
    return nowMs;
  }

  async get(key: string): Promise<KeyValueEntry | null> {
    const found = await this.below.get(key);
    if (found) this.observe(key, found);
    return found;
  }

  create(key: string, value: Uint8Array): Promise<boolean> {
    this.remember(key, null);
    return this.below.create(key, value);
  }

  update(key: string, value: Uint8Array, revision: number): Promise<boolean> {
    return this.below.update(key, value, revision);
  }

  delete(key: string): Promise<void> {
    return this.below.delete(key);
  }

  private observe(key: string, { revision, writtenMs }: KeyValueEntry): void {
    const before = this.readings.get(key);
    const nowMs = this.clock.now();
    if (before && before.revision !== revision && nowMs - before.atMs <= READINGS_MS) this.aheadMs = writtenMs - nowMs;
    this.remember(key, revision);
  }

  private remember(key: string, revision: number | null): void {
    this.readings.set(key, { revision, atMs: this.clock.now() });
    if (this.readings.size > KEYS_KEPT) this.readings.delete(this.readings.keys().next().value!);
  }
}
