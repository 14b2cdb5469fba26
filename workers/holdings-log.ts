import type { Bus } from '../src/bus/bus.js';
import type { Clock, Timer } from '../src/clock.js';
import type { BlockKey } from '../src/core/block.js';
import { KEY_BYTES, packKeys } from '../src/core/key.js';
import { publishBestEffort } from '../src/fleet/best-effort.js';
import type { LinkedCoordinators } from '../src/fleet/linked-coordinators.js';
import { HOLDINGS_KEYS_PER_MESSAGE, type HoldingsDelta } from '../src/protocol/holdings.js';
import { encode } from '../src/wire/msgpack.js';
import type { BlockStore } from './cache/block-store.js';

/** Changes are gathered for so long before they are told: a prefill makes several blocks at a time. */
const GATHER_MS = 5;
/** Of a message, for what is in it beside keys. */
const ENVELOPE_BYTES = 4096;

/** Tells the fleet what this worker takes up and drops, as numbered changes; and the whole of it to those who ask. */
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
      added: ({ key }) => this.note(key, this.added, this.removed),
      removed: (key) => this.note(key, this.removed, this.added),
    });
  }

  /** Number of the last change that was told. */
  get lastSeq(): number {
    return this.seq;
  }

  /** Nothing is told any more. */
  stop(): void {
    this.gathering?.cancel();
    this.gathering = null;
    this.stopped = true;
  }

  /** All keys, in pages. What changes meanwhile comes as a later number. */
  *pages(): Generator<{ seq: number; keys: Uint8Array; last: boolean }> {
    this.tell();
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

  private note(key: BlockKey, to: Set<BlockKey>, from: Set<BlockKey>): void {
    if (this.stopped) return;
    // What came and went since the last message was never known to anybody, but saying it twice does no harm.
    from.delete(key);
    to.add(key);
    if (this.gathering) return;
    this.gathering = this.clock.after(GATHER_MS, () => {
      this.gathering = null;
      this.tell();
    });
  }

  private tell(): void {
    while (this.added.size > 0 || this.removed.size > 0) {
      const delta: HoldingsDelta = {
        worker: this.self.id,
        incarnation: this.self.incarnation,
        seq: ++this.seq,
        added: packKeys(take(this.added, this.keysPerMessage / 2)),
        removed: packKeys(take(this.removed, this.keysPerMessage / 2)),
      };
      // What does not get through is missed by its number, which is announced too: then the whole is asked for.
      if (!publishBestEffort(this.bus, this.self.subject, encode(delta))) this.linked.tell('holdings', delta);
    }
  }

  /** An even number. */
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
