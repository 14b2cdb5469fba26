import type { Clock } from '../../src/clock.js';
import type { Random } from '../../src/random.js';

/** The homes that copies are owed to: which are being pushed to, and which are left alone after a failure. */

/** Pause after the first failure of a home, or the first refusal of a block; it doubles with each further one. @internal exported for tests. */
export const REPLICATION_PAUSE_MS = 500;
/** The longest pause. With the 2 s of a handshake, a home that can be reached again is found within 12 s. @internal exported for tests. */
export const REPLICATION_PAUSE_LIMIT_MS = 10_000;

/** The pause after so many failures: doubled, capped, and shortened by up to half at random, so that workers do not all try at once. */
export function pauseMs(failures: number, random: Random): number {
  const full = Math.min(REPLICATION_PAUSE_LIMIT_MS, REPLICATION_PAUSE_MS * 2 ** (failures - 1));
  return full * (1 - random.next() / 2);
}

interface Creditor {
  busy: boolean;
  failures: number;
  retryAtMs: number;
}

/** Homes by their standing. A home that is neither busy nor failed recently has no entry. */
export class Creditors {
  private readonly homes = new Map<string, Creditor>();

  constructor(
    private readonly clock: Clock,
    private readonly random: Random,
  ) {}

  /** Whether a home is being pushed to. */
  get anyBusy(): boolean {
    return [...this.homes.values()].some(({ busy }) => busy);
  }

  /** Milliseconds until the home may be tried; 0: now. */
  waitMs(to: string): number {
    return Math.max(0, (this.homes.get(to)?.retryAtMs ?? 0) - this.clock.now());
  }

  /** False if the home is being pushed to already. */
  begin(to: string): boolean {
    const home = this.of(to);
    if (home.busy) return false;
    home.busy = true;
    return true;
  }

  end(to: string): void {
    const home = this.of(to);
    home.busy = false;
    if (home.failures === 0) this.homes.delete(to);
  }

  /** The home cannot be reached, or broke off. */
  failed(to: string): void {
    const home = this.of(to);
    home.failures++;
    home.retryAtMs = this.clock.now() + pauseMs(home.failures, this.random);
  }

  /** The home answered, or is another process now: it may be tried at once. */
  reset(to: string): void {
    const home = this.homes.get(to);
    if (!home) return;
    home.failures = 0;
    home.retryAtMs = 0;
    if (!home.busy) this.homes.delete(to);
  }

  /** Resets all homes. */
  resetAll(): void {
    for (const to of [...this.homes.keys()]) this.reset(to);
  }

  private of(to: string): Creditor {
    const home = this.homes.get(to) ?? { busy: false, failures: 0, retryAtMs: 0 };
    this.homes.set(to, home);
    return home;
  }
}
