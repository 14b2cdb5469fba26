import type { Bus } from '../src/bus/bus.js';
import type { Clock, Timer } from '../src/clock.js';
import type { BlockKey } from '../src/core/block.js';
import { KEY_BYTES, packKeys } from '../src/core/key.js';
import type { LinkedCoordinators } from '../src/fleet/linked-coordinators.js';
import { tryPublish } from '../src/fleet/try-publish.js';
import { HOLDINGS_KEYS_PER_MESSAGE, type HoldingsDelta } from '../src/protocol/holdings.js';
import { encode } from '../src/wire/msgpack.js';
import type { BlockStore } from './cache/block-store.js';

/** Publishes the changes of a worker's holdings, numbered, and makes snapshots of them on request. */

/** How long changes are gathered into one message: a prefill makes several blocks at a time. */
const GATHER_MS = 5;
/** Bytes of a message reserved for everything except keys. */
const ENVELOPE_BYTES = 4096;

/** The holdings of this worker as others see them: numbered changes, and snapshots. */
export class HoldingsLog {
  private seq = 0;
  private readonly added = new Set<BlockKey>();
  private readonly removed = new Set<BlockKey>();
  private stopped = false;
  private gathering: Timer | null = null;

  constructor(
    private readonly store: BlockStore,
    private readonly bus: Bus,
    private readonly clock: Clock,
    private readonly self: { readonly id: string; readonly incarnation: string; readonly subject: string },
    private readonly linked: Pick<LinkedCoordinators, 'tell'>,
  ) {
    store.listen({
      added: ({ key }) => this.record(key, this.added, this.removed),
      removed: (key) => this.record(key, this.removed, this.added),
    });
  }

  /** Sequence number of the last published change. */
  get lastSeq(): number {
    return this.seq;
  }

  /** Ends the publishing of changes. */
  stop(): void {
    this.gathering?.cancel();
    this.gathering = null;
    this.stopped = true;
  }

  /** Yields a snapshot of all keys in pages. A change during the iteration is published with a later number. */
  *pages(): Generator<{ seq: number; keys: Uint8Array; last: boolean }> {
    this.publish();
    const seq = this.seq;
    const keys = this.store.keys();
    const pageKeys = this.keysPerMessage;
    let from = 0;
    do {
      const page = keys.slice(from, from + pageKeys);
      from += pageKeys;
      yield { seq, keys: packKeys(page), last: from >= keys.length };
    } while (from < keys.length);
  }

  private record(key: BlockKey, to: Set<BlockKey>, from: Set<BlockKey>): void {
    if (this.stopped) return;
    // A block that came and went since the last message is still published as removed, which does no harm.
    from.delete(key);
    to.add(key);
    if (this.gathering) return;
    this.gathering = this.clock.after(GATHER_MS, () => {
      this.gathering = null;
      this.publish();
    });
  }

  private publish(): void {
    while (this.added.size > 0 || this.removed.size > 0) {
      const delta: HoldingsDelta = {
        worker: this.self.id,
        incarnation: this.self.incarnation,
        seq: ++this.seq,
        added: packKeys(take(this.added, this.keysPerMessage / 2)),
        removed: packKeys(take(this.removed, this.keysPerMessage / 2)),
      };
      // Coordinators detect a lost change by the announced sequence number, and then request a snapshot.
      this.linked.tell('holdings', delta, tryPublish(this.bus, this.self.subject, encode(delta)));
    }
  }

  /** Limit on the keys in one message; an even number, half each for added and removed keys. */
  private get keysPerMessage(): number {
    const fitting = Math.floor((this.bus.maxPayloadBytes - ENVELOPE_BYTES) / (2 * KEY_BYTES)) * 2;
    return Math.max(2, Math.min(HOLDINGS_KEYS_PER_MESSAGE, fitting));
  }
}

function take(from: Set<BlockKey>, count: number): BlockKey[] {
  const taken: BlockKey[] = [];
  for (const key of from) {
    if (taken.length === count) break;
    taken.push(key);
    from.delete(key);
  }
  return taken;
}
