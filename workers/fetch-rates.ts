import type { Clock } from '../src/clock.js';

/** Weight of the newest measurement. */
const NEWEST = 0.3;
/** A measurement is forgotten after so long, so that a peer that was slow once is tried again. */
const FORGET_MS = 30_000;

/** How fast peers give blocks, measured; bytes a millisecond. */
export class FetchRates {
  private readonly byPeer = new Map<string, { bytesPerMs: number; atMs: number }>();
  private all: number | null = null;

  constructor(private readonly clock: Clock) {}

  /** Of one peer, else of all; null if nothing was measured. */
  of(peer: string): number | null {
    const known = this.byPeer.get(peer);
    return known && this.clock.now() - known.atMs < FORGET_MS ? known.bytesPerMs : this.all;
  }

  get overall(): number | null {
    return this.all;
  }

  note(peer: string, bytes: number, ms: number): void {
    const measured = Math.max(1, bytes) / Math.max(0.1, ms);
    const before = this.byPeer.get(peer)?.bytesPerMs ?? measured;
    this.byPeer.delete(peer);
    this.byPeer.set(peer, { bytesPerMs: mix(before, measured), atMs: this.clock.now() });
    if (bytes > 0) this.all = mix(this.all ?? measured, measured);
  }

  forget(peer: string): void {
    this.byPeer.delete(peer);
  }
}

function mix(before: number, measured: number): number {
  return (1 - NEWEST) * before + NEWEST * measured;
}
