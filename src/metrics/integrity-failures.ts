import { FLEET_WORKERS } from '../limits.js';
import type { Counter, MetricsRegistry } from './registry.js';

/** Counts blocks with wrong bytes by the peer that sent them, with a bounded number of labels. */

const STAGES = ['fetch', 'push'] as const;
/** The label of a process that is not known as a member, and of members beyond the limit. */
const OTHER = 'other';

export class IntegrityFailures {
  private readonly counter: Counter<'stage' | 'peer'>;
  /** IDs with their own label. */
  private readonly peers = new Set<string>();

  constructor(registry: MetricsRegistry) {
    this.counter = registry.counter({
      name: 'shoal_integrity_failures_total',
      help: 'Blocks refused because their bytes did not match their digest, by stage, and by the peer that sent them.',
      labels: ['stage', 'peer'],
    });
    this.begin(OTHER);
    // A file of the disk tier comes from no peer.
    this.counter.add(0, { stage: 'disk', peer: '' });
  }

  /** Gives a member its own label, while there are fewer than `FLEET_WORKERS`. */
  joined(peer: string): void {
    if (this.peers.has(peer) || this.peers.size >= FLEET_WORKERS) return;
    this.peers.add(peer);
    this.begin(peer);
  }

  /** Counts a block from a peer. */
  fromPeer(stage: 'fetch' | 'push', peer: string): void {
    this.counter.add(1, { stage, peer: this.peers.has(peer) ? peer : OTHER });
  }

  /** Counts a damaged file of the disk tier. */
  fromDisk(): void {
    this.counter.add(1, { stage: 'disk', peer: '' });
  }

  /** Prometheus sees the first increase of a series only if the series existed before. */
  private begin(peer: string): void {
    for (const stage of STAGES) this.counter.add(0, { stage, peer });
  }
}
