import type { Clock } from '../../src/clock.js';
import { FLEET_WORKERS } from '../../src/limits.js';

/** How fast each peer delivers blocks, measured. */

/** Weight of the newest measurement. */
const NEWEST = 0.3;
/** A measurement expires after this time, so that a peer that was slow once is tried again. */
const FORGET_MS = 30_000;

interface Measured {
  readonly bytesPerMs: number;
  readonly atMs: number;
}

/** Moving averages of what peers deliver, in bytes a millisecond. */
export class FetchRates {
  /** The least recently measured peer first. */
  private readonly byPeer = new Map<string, Measured>();
  private all: Measured | null = null;

  constructor(private readonly clock: Clock) {}

  /** The rate of one peer, else of all peers; null if no measurement is recent. */
  of(peer: string): number | null {
    return this.fresh(this.byPeer.get(peer)) ?? this.overall;
  }

  get overall(): number | null {
    return this.fresh(this.all);
  }

  note(peer: string, bytes: number, ms: number): void {
    const measured = Math.max(1, bytes) / Math.max(0.1, ms);
    const before = this.fresh(this.byPeer.get(peer)) ?? measured;
    this.byPeer.delete(peer);
    for (const [oldest] of this.byPeer) {
      if (this.byPeer.size < FLEET_WORKERS) break;
      this.byPeer.delete(oldest);
    }
    this.byPeer.set(peer, this.now(mix(before, measured)));
    if (bytes > 0) this.all = this.now(mix(this.overall ?? measured, measured));
  }

  forget(peer: string): void {
    this.byPeer.delete(peer);
  }

  private now(bytesPerMs: number): Measured {
    return { bytesPerMs, atMs: this.clock.now() };
  }

  private fresh(measured: Measured | null | undefined): number | null {
    return measured && this.clock.now() - measured.atMs < FORGET_MS ? measured.bytesPerMs : null;
  }
}

function mix(before: number, measured: number): number {
  return (1 - NEWEST) * before + NEWEST * measured;
}
