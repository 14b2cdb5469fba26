/** Connections of peers that have proved nothing yet, and which of them give way to new ones. */

/**
 * A connection comes from an address. Gives the call to make when it has proved itself or is closed; null if it is to be refused. `evict` closes it,
 * and is called at most once, also while another one enters.
 */
export type EnterStranger = (address: string, evict: () => void) => (() => void) | null;

/** Limits on strangers, in all and by the address that they come from. */
export interface StrangerLimits {
  /** Connections that have proved nothing, at a time. */
  readonly connections: number;
  /** The same from one address. All users of a Unix socket are one address. */
  readonly perAddress: number;
  /** New connections from one address in a second, on average. */
  readonly perSecond: number;
  /** New connections from one address at once, after a pause. */
  readonly burst: number;
}

/** Addresses whose rate is remembered. The one that was heard longest ago is forgotten first. */
const ADDRESSES = 1024;

interface Stranger {
  readonly address: string;
  /** Closes the connection. */
  readonly evict: () => void;
}

interface Allowance {
  tokens: number;
  atMs: number;
}

/**
 * Strangers take no place of those who have proved themselves. A new one takes the place of the oldest: a member proves itself within one round trip,
 * so a connection that stays unproved for long is no member's. Where all places are taken, the address with the most strangers loses its oldest, so that one address
 * does not use up the places of the others.
 */
export class Strangers {
  private readonly waiting = new Set<Stranger>();
  private readonly counts = new Map<string, number>();
  private readonly allowances = new Map<string, Allowance>();

  constructor(private readonly limits: StrangerLimits) {}

  get size(): number {
    return this.waiting.size;
  }

  /** See `EnterStranger`. Refuses a connection if too many came from its address within a second. */
  enter(address: string, nowMs: number, evict: () => void): (() => void) | null {
    if (!this.allow(address, nowMs)) return null;
    const count = this.counts.get(address) ?? 0;
    if (count >= this.limits.perAddress) this.evictOldest(address);
    else if (this.waiting.size >= this.limits.connections) this.evictOldest(this.crowdedAddress());
    const stranger: Stranger = { address, evict };
    this.waiting.add(stranger);
    this.counts.set(address, (this.counts.get(address) ?? 0) + 1);
    return () => this.leave(stranger);
  }

  /** A token bucket for each address. */
  private allow(address: string, nowMs: number): boolean {
    const { perSecond, burst } = this.limits;
    const before = this.allowances.get(address);
    const elapsedMs = before === undefined ? 0 : nowMs - before.atMs;
    const tokens = before === undefined ? burst : Math.min(burst, before.tokens + (elapsedMs * perSecond) / 1000);
    const allowed = tokens >= 1;
    this.allowances.delete(address);
    this.allowances.set(address, { tokens: allowed ? tokens - 1 : tokens, atMs: nowMs });
    if (this.allowances.size > ADDRESSES) this.allowances.delete(this.allowances.keys().next().value!);
    return allowed;
  }

  private crowdedAddress(): string {
    let most = ['', 0] as [string, number];
    for (const entry of this.counts) if (entry[1] > most[1]) most = entry;
    return most[0];
  }

  private evictOldest(address: string): void {
    for (const stranger of this.waiting) {
      if (stranger.address !== address) continue;
      this.leave(stranger);
      stranger.evict();
      return;
    }
  }

  private leave(stranger: Stranger): void {
    if (!this.waiting.delete(stranger)) return;
    const left = this.counts.get(stranger.address)! - 1;
    if (left === 0) this.counts.delete(stranger.address);
    else this.counts.set(stranger.address, left);
  }
}
