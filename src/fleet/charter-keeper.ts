import type { KeyValue } from '../bus/key-value.js';
import type { Clock } from '../clock.js';
import type { Log } from '../log.js';
import { PacedLog } from '../paced-log.js';
import { keepCharter, PROVISIONAL_MS, type StoredCharter } from './charter.js';

/** Keeps the charter of a living fleet: puts it back if NATS loses it, or if a process puts an older one in its place. */
export class CharterKeeper {
  private readonly joinedMs: number;
  private replaced = false;
  private readonly log: Log;

  constructor(
    private readonly kv: KeyValue,
    /** The charter under which this process has joined. */
    private charter: StoredCharter,
    private readonly clock: Clock,
    log: Log,
    /** Called when this process has put the charter back, so that the other processes look at it. */
    private readonly onRestored: () => void,
    /** Called if this process founded its charter only because NATS had lost the charter of a living fleet, which it does not fit. */
    private readonly onOutlawed: (why: string) => void,
  ) {
    this.joinedMs = clock.now();
    this.log = new PacedLog(log, clock);
  }

  /** Compares the charter with the stored one. Rejects with the errors of the bucket. */
  async check(): Promise<void> {
    const proven = this.clock.now() - this.joinedMs >= PROVISIONAL_MS;
    const kept = await keepCharter(this.kv, this.charter, proven);
    if (kept.outcome === 'outlawed') {
      this.onOutlawed(kept.why);
    } else if (kept.outcome === 'replaced') {
      if (!this.replaced) this.log.error(this.charter, 'another fleet has replaced the charter of this fleet');
      this.replaced = true;
    } else {
      if (kept.charter.generation > this.charter.generation)
        this.log.info(kept.charter, 'the charter of the fleet stands');
      this.charter = kept.charter;
      this.replaced = false;
      if (kept.outcome !== 'restored') return;
      this.log.warn(this.charter, 'restored the charter of the fleet, which had been lost or overwritten');
      this.onRestored();
    }
  }
}
