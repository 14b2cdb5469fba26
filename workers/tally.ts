import { FLEET_WORKERS } from '../src/limits.js';
import type { WorkerActivity } from '../src/protocol/activity.js';
import type { AuditOutcome } from './audit/auditor.js';

/** How a block of a peer came to this worker: it was `fetched` for a request, or the peer `pushed` a copy. */
export type Delivery = 'fetched' | 'pushed';

/** Counts what this worker has done since its start, for the history of the coordinators. */
export class Tally {
  private readonly received = new Map<string, { fetched: number; pushed: number }>();
  private readonly audits = { right: 0, wrong: 0, skipped: 0 };
  private evicted = 0;
  private damaged = 0;

  /** A block came from a peer, and has been kept. */
  delivered(peer: string, how: Delivery): void {
    const known = this.received.get(peer);
    if (known !== undefined) known[how]++;
    else if (this.received.size < FLEET_WORKERS) this.received.set(peer, { fetched: 0, pushed: 0, [how]: 1 });
  }

  /** A block was evicted from its last tier. */
  lost(): void {
    this.evicted++;
  }

  /** A block had the wrong bytes, and was refused. */
  refused(): void {
    this.damaged++;
  }

  audited(outcome: AuditOutcome): void {
    this.audits[outcome]++;
  }

  /** All counts so far. */
  get activity(): WorkerActivity {
    const received = [...this.received].map(([peer, counts]) => ({ peer, ...counts }));
    return { received, evicted: this.evicted, damaged: this.damaged, audits: { ...this.audits } };
  }
}
