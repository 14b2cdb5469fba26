import { Bucket } from './bucket.js';

const MINUTE_MS = 60_000;

/** The use of one kind, requests or tokens, against a limit per minute: over all coordinators, and as if this were the only one. */
export class Buckets {
  private whole: Bucket | null = null;
  private own: Bucket | null = null;
  private limited = false;

  /** The limit from now on; null for none. Earlier use is kept. */
  limit(perMinute: number | null, capacity: number, nowMs: number): void {
    this.limited = perMinute !== null;
    if (perMinute === null) return;
    const perMs = perMinute / MINUTE_MS;
    this.whole ??= new Bucket(capacity, perMs, nowMs);
    this.own ??= new Bucket(capacity, perMs, nowMs);
    this.whole.resize(capacity, perMs, nowMs);
    this.own.resize(capacity, perMs, nowMs);
  }

  /** The bucket that applies; null if there is no limit now. */
  get all(): Bucket | null {
    return this.limited ? this.whole : null;
  }

  /** Counts the use of this coordinator. */
  use(amount: number, nowMs: number): void {
    this.hear(amount, nowMs);
    this.own?.take(amount, nowMs);
  }

  /** Counts the use of another coordinator. */
  hear(amount: number, nowMs: number): void {
    this.whole?.take(amount, nowMs);
  }

  /** The part of this coordinator's use that has not been replaced yet. */
  ownMissing(nowMs: number): number {
    return this.own?.missing(nowMs) ?? 0;
  }

  full(nowMs: number): boolean {
    return this.whole === null || this.whole.missing(nowMs) === 0;
  }
}
