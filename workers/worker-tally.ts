import type { BlockKey, TierName } from '../src/core/block.js';
import { FLEET_WORKERS } from '../src/limits.js';
import { FOUND_REQUESTS, FOUND_SOURCES, type FoundPrefix, type WorkerActivity } from '../src/protocol/activity.js';
import type { AuditOutcome } from './audit/auditor.js';

/** How a block of a peer came to this worker: it was `fetched` for a request, or the peer `pushed` a copy. */
export type Delivery = 'fetched' | 'pushed';

/** Blocks of which it is remembered who sent them last. The oldest is forgotten first. */
const SENT_BLOCKS = 8_192;

/** A block of a request's prefix that was not on the device before. */
export interface FoundBlock {
  readonly key: BlockKey;
  /** The lower tier from which it was brought; null if a peer sent it. */
  readonly tier: TierName | null;
}

/** Counts what this worker has done since its start, for the history of the coordinators. */
export class WorkerTally {
  private readonly received = new Map<string, { fetched: number; pushed: number }>();
  private readonly senders = new Map<BlockKey, { readonly peer: string; readonly how: Delivery }>();
  private readonly prefixes: FoundPrefix[] = [];
  /** Number of the last of `prefixes`. */
  private seq = 0;
  private readonly audits = { right: 0, wrong: 0, skipped: 0 };
  private evicted = 0;
  private damaged = 0;

  /** A block came from a peer, and has been kept. */
  delivered(peer: string, how: Delivery, key: BlockKey): void {
    this.senders.delete(key);
    this.senders.set(key, { peer, how });
    if (this.senders.size > SENT_BLOCKS) this.senders.delete(this.senders.keys().next().value!);
    const known = this.received.get(peer);
    if (known !== undefined) known[how]++;
    else if (this.received.size < FLEET_WORKERS) this.received.set(peer, { fetched: 0, pushed: 0, [how]: 1 });
  }

  /** A request has its prefix, of which these blocks were not on the device before. */
  found(requestId: string, blocks: readonly FoundBlock[]): void {
    if (blocks.length === 0) return;
    const peers = new Map<string, { blocks: number; pushed: number }>();
    for (const { key, tier } of blocks) {
      const sender = tier === null ? this.senders.get(key) : undefined;
      if (sender === undefined) continue;
      const known = peers.get(sender.peer) ?? { blocks: 0, pushed: 0 };
      peers.set(sender.peer, {
        blocks: known.blocks + 1,
        pushed: known.pushed + (sender.how === 'pushed' ? 1 : 0),
      });
    }
    const from = [...peers].map(([peer, counts]) => ({ peer, ...counts })).sort((a, b) => b.blocks - a.blocks);
    const of = (name: TierName) => blocks.filter(({ tier }) => tier === name).length;
    this.prefixes.push({ requestId, host: of('host'), disk: of('disk'), from: from.slice(0, FOUND_SOURCES) });
    this.seq++;
    if (this.prefixes.length > FOUND_REQUESTS) this.prefixes.shift();
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

  /** All counts so far, and the requests after the one with the number `since`. */
  activity(since: number): WorkerActivity {
    const received = [...this.received].map(([peer, counts]) => ({ peer, ...counts }));
    const { evicted, damaged, audits, seq, prefixes } = this;
    const found = prefixes.slice(Math.max(0, prefixes.length - Math.max(0, seq - since)));
    return { received, evicted, damaged, audits: { ...audits }, seq, found };
  }
}
