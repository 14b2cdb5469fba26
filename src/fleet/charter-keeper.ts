import type { KeyValue } from '../bus/key-value.js';
import type { Clock, Timer } from '../clock.js';
import { ShoalError } from '../errors.js';
import type { Log } from '../log.js';
import { restoreCharter, type StoredCharter } from './charter.js';

/** Restores the charter of a living fleet, if NATS loses it or if a process puts an older one in its place. */

const CHECK_INTERVAL_MS = 5_000;

export class CharterKeeper {
  private checking: Timer | null = null;
  private busy = false;

  constructor(
    private readonly kv: KeyValue,
    /** The charter under which this process has joined. */
    private readonly charter: StoredCharter,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  start(): void {
    this.checking = this.clock.every(CHECK_INTERVAL_MS, () => void this.check());
  }

  stop(): void {
    this.checking?.cancel();
  }

  /** Compares the charter with the stored one. Does nothing while an earlier check is under way. */
  async check(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      const restored = await restoreCharter(this.kv, this.charter);
      if (restored)
        this.log.warn(this.charter, 'restored the charter of the fleet, which had been lost or overwritten');
    } catch (error) {
      // While NATS is lost, the next check tries again.
      if (!(error instanceof ShoalError)) throw error;
    } finally {
      this.busy = false;
    }
  }
}
