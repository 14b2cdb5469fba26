import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock, Timer } from '../../src/clock.js';
import {
  BUCKET_DIGEST_BYTES,
  bucketsFor,
  differingBuckets,
  isShared,
  offersOf,
  Summary,
} from '../../src/core/anti-entropy.js';
import type { BlockKey, PinnedBlock, SealedBlock } from '../../src/core/block.js';
import type { Announcement } from '../../src/core/member.js';
import { homesOnce } from '../../src/core/replication.js';
import type { Roster } from '../../src/fleet/roster.js';
import { PEER_OFFER_BLOCKS } from '../../src/limits.js';
import type { PeerClient } from '../../src/peer/client/peer-client.js';
import type { PeerSummary } from '../../src/peer/server/compare-answer.js';
import type { Random } from '../../src/random.js';
import type { BlockStore } from '../cache/block-store.js';
import type { RepairShare } from './repair-share.js';
import type { Replicator } from './replicator.js';

/** The anti-entropy pass: compares the blocks of this worker with the other homes', and repairs missing copies. */

/** Time in which this worker compares itself with each other worker once, if there are at most 30. @internal exported for tests. */
export const ANTI_ENTROPY_SWEEP_MS = 30_000;
/** The shortest pause between two comparisons. */
const ANTI_ENTROPY_PAUSE_MS = 1_000;
/** Blocks that are offered after one comparison. @internal exported for tests. */
export const ANTI_ENTROPY_ROUND_BLOCKS = 1024;
/** Blocks that are offered per second. @internal exported for tests. */
export const ANTI_ENTROPY_BLOCKS_PER_S = 512;
/** Blocks that are looked at before the event loop runs other work. */
const ANTI_ENTROPY_TURN_BLOCKS = 512;

export interface AntiEntropyOptions {
  readonly self: string;
  readonly store: BlockStore;
  readonly peers: PeerClient;
  readonly roster: Roster;
  readonly clock: Clock;
  readonly random: Random;
  readonly replicas: number;
  readonly share: RepairShare;
  readonly replicator: Pick<Replicator, 'owes' | 'offered' | 'signal'>;
  /** How many blocks came to be held by another. */
  readonly onMoved: (blocks: number) => void;
  /** How many copies other homes have no room for, by the last comparison with each. */
  readonly onNoRoom: (copies: number) => void;
}

/**
 * Compares the blocks that have this worker and another as homes, one worker after another, and offers the blocks whose digests differ. A copy
 * lost in any way is thus restored: by a push that never arrived, a worker that died with debts, or a missed change of the ring. The other
 * worker takes blocks into free memory only and evicts nothing for them. A worker compares while it has a place on the ring, so not while it drains.
 */
export class AntiEntropy {
  private timer: Timer | null = null;
  /** The worker that was compared last, and where the next round with each worker begins. */
  private last = '';
  private readonly cursors = new Map<string, number>();
  private readonly noRoom = new Map<string, number>();
  private answering = false;
  private comparing = false;

  constructor(private readonly options: AntiEntropyOptions) {
    options.roster.listen((effect) => {
      if (effect.type === 'changed') this.followRing();
    });
    this.followRing();
  }

  /** Compares a peer's summary with this worker's blocks. Gives the buckets that differ; null if the rings differ or another comparison runs. */
  async compare(peer: string, { epoch, digests }: PeerSummary): Promise<number[] | null> {
    const { roster } = this.options;
    if (this.answering || epoch !== roster.epoch || !this.hasPlace) return null;
    this.answering = true;
    try {
      const buckets = digests.byteLength / BUCKET_DIGEST_BYTES;
      const own = summaryOf(await this.sharedWith(peer), buckets);
      return epoch === roster.epoch ? differingBuckets(own, digests) : null;
    } finally {
      this.answering = false;
    }
  }

  private get hasPlace(): boolean {
    const { roster, self } = this.options;
    return roster.ring.members.includes(self);
  }

  private followRing(): void {
    const { members } = this.options.roster.ring;
    for (const known of [this.cursors, this.noRoom]) {
      for (const id of [...known.keys()]) if (!members.includes(id)) known.delete(id);
    }
    this.tellNoRoom();
    if (this.hasPlace) {
      if (!this.comparing) this.timer ??= this.nextRound();
      return;
    }
    this.timer?.cancel();
    this.timer = null;
  }

  private nextRound(): Timer {
    const { roster, clock, random } = this.options;
    const pauseMs = Math.max(
      ANTI_ENTROPY_PAUSE_MS,
      ANTI_ENTROPY_SWEEP_MS / Math.max(1, roster.ring.members.length - 1),
    );
    return clock.after(pauseMs * (1 - random.next() / 2), () => void this.round());
  }

  private async round(): Promise<void> {
    this.timer = null;
    this.comparing = true;
    try {
      const target = this.nextPeer();
      if (target) await this.compareWith(target);
    } catch {
      // The peer client counts the failure. The next round is with another worker.
    } finally {
      this.comparing = false;
      if (this.hasPlace) this.timer ??= this.nextRound();
    }
  }

  /** The worker on the ring after the one that was compared last. */
  private nextPeer(): Announcement | null {
    const { roster, self } = this.options;
    const others = roster.ring.members.filter((id) => id !== self);
    const next = others.find((id) => id > this.last) ?? others[0];
    if (next === undefined) return null;
    this.last = next;
    return roster.alive(next);
  }

  private async compareWith(target: Announcement): Promise<void> {
    const { roster, peers, replicator } = this.options;
    const { epoch } = roster;
    const { signal } = replicator;
    const shared = await this.sharedWith(target.id);
    if (epoch !== roster.epoch) return;
    if (shared.length === 0) return this.compared(target.id, [], 0);
    const buckets = bucketsFor(shared.length);
    const digests = summaryOf(shared, buckets);
    const differing = await peers.compare(target, { epoch, digests }, signal);
    if (differing === null || epoch !== roster.epoch) return;
    const cursor = this.cursors.get(target.id) ?? 0;
    const round = offersOf(shared, differing, buckets, cursor, ANTI_ENTROPY_ROUND_BLOCKS);
    this.cursors.set(target.id, round.cursor);
    const offered = await this.offer(target, round.blocks, epoch, signal);
    this.compared(target.id, offered.keys, offered.refused);
  }

  private compared(id: string, keys: readonly BlockKey[], refused: number): void {
    if (refused > 0) this.noRoom.set(id, refused);
    else this.noRoom.delete(id);
    this.tellNoRoom();
    this.options.replicator.offered(id, keys);
  }

  /** Offers blocks in small batches, no faster than the bound. Stops if the ring changes. */
  private async offer(
    target: Announcement,
    blocks: readonly SealedBlock[],
    epoch: string,
    signal: AbortSignal,
  ): Promise<{ keys: BlockKey[]; refused: number }> {
    const { roster, store, replicator, clock, share } = this.options;
    const keys: BlockKey[] = [];
    let refused = 0;
    for (let at = 0; at < blocks.length; at += PEER_OFFER_BLOCKS) {
      const paceMs = at === 0 ? 0 : (1_000 * PEER_OFFER_BLOCKS) / ANTI_ENTROPY_BLOCKS_PER_S;
      await sleep(clock, Math.max(paceMs, share.waitMs));
      if (signal.aborted || epoch !== roster.epoch) break;
      const batch = blocks
        .slice(at, at + PEER_OFFER_BLOCKS)
        .filter(({ key }) => store.sealed(key) && !replicator.owes(key, target.id));
      if (batch.length === 0) continue;
      const taken = await this.push(target, batch, signal);
      if (taken === null) continue;
      for (const { key } of batch) keys.push(key);
      refused += batch.length - taken.size;
    }
    return { keys, refused };
  }

  /** Gives the blocks that the peer has now; null if this worker could not give them all. */
  private async push(
    target: Announcement,
    blocks: readonly SealedBlock[],
    signal: AbortSignal,
  ): Promise<ReadonlySet<BlockKey> | null> {
    const { store, peers, clock, share, onMoved } = this.options;
    const sent = new Set<BlockKey>();
    let unready = false;
    const pin = async (key: BlockKey): Promise<PinnedBlock | null> => {
      const pinned = await store.pin(key, 'copy').catch(() => null);
      if (pinned === null) unready = true;
      else sent.add(key);
      return pinned;
    };
    const startedMs = clock.now();
    const taken = await peers.push(target, blocks, pin, signal, 'repair');
    if (sent.size > 0) share.note(clock.now() - startedMs);
    const moved = [...sent].filter((key) => taken.has(key)).length;
    if (moved > 0) onMoved(moved);
    return unready ? null : taken;
  }

  /** The blocks that this worker has and the peer should have too, both as homes. */
  private async sharedWith(peer: string): Promise<SealedBlock[]> {
    const { store, self, roster, replicas } = this.options;
    const { ring } = roster;
    const homesOf = homesOnce((segment) => ring.homes(segment, replicas));
    const shared: SealedBlock[] = [];
    for (const [i, key] of store.keys().entries()) {
      if (i % ANTI_ENTROPY_TURN_BLOCKS === ANTI_ENTROPY_TURN_BLOCKS - 1) await nextTurn();
      const block = store.sealed(key);
      if (block && isShared(block, self, peer, homesOf)) shared.push(block);
    }
    return shared;
  }

  private tellNoRoom(): void {
    let copies = 0;
    for (const refused of this.noRoom.values()) copies += refused;
    this.options.onNoRoom(copies);
  }
}

function summaryOf(blocks: readonly SealedBlock[], buckets: number): Uint8Array {
  const summary = new Summary(buckets);
  for (const block of blocks) summary.add(block);
  return summary.digests;
}

async function sleep(clock: Clock, ms: number): Promise<void> {
  if (ms > 0) await new Promise<void>((resolve) => clock.after(ms, resolve));
}
