import type { ActorSystem } from '../../src/actors/system.js';
import { Semaphore } from '../../src/async/semaphore.js';
import type { BlockKey, PinnedBlock, SealedBlock } from '../../src/core/block.js';
import type { Holdings } from '../../src/core/holdings.js';
import { packKeys, unpackKeys } from '../../src/core/key.js';
import { blockBytes, type KvLayout } from '../../src/core/kv-layout.js';
import { reservation } from '../../src/core/reservation.js';
import { fromWire, type ShoalError, toWire, Unavailable } from '../../src/errors.js';
import type { Roster } from '../../src/fleet/roster.js';
import { CONTROL_TIMEOUT_MS } from '../../src/limits.js';
import type { PeerClient, PeerTarget } from '../../src/peer/client/peer-client.js';
import { ShardProtocol } from '../../src/protocol/worker.js';

/** The K/V that the engines of the fleet computed: reads blocks from workers that hold them, and writes blocks to their homes. */

/** Memory of one fetch, and of one block at least. */
const FETCH_BYTES = 16 * 2 ** 20;
const FETCH_BLOCKS = 16;
/** Reads at a time; each has the blocks of two fetches in memory. */
const READS = 4;
/** Limit on the blocks of one prefix that is named by its last key. */
const CHAIN_BLOCKS = 65_536;
const PUSH_MS = 30_000;

export interface ComputedKvOptions {
  readonly layout: KvLayout;
  readonly roster: Roster;
  readonly holdings: Holdings;
  readonly actors: ActorSystem;
  readonly peers: PeerClient;
  readonly replicas: number;
}

/** A block, and its bytes in memory of its own. */
export interface ComputedBlock {
  readonly block: SealedBlock;
  readonly bytes: Uint8Array;
}

/** Blocks that are being read. */
export interface OpenedKv {
  /** How many there are. */
  readonly blocks: number;
  /** The next block; null after the last one. */
  next(): Promise<ComputedBlock | null>;
  /** Must be called at the end, also if not all blocks were read. */
  close(): void;
}

export class ComputedKv {
  readonly blockBytes: number;
  private readonly turns = new Semaphore(READS);

  constructor(private readonly options: ComputedKvOptions) {
    this.blockBytes = blockBytes(options.layout);
  }

  get layout(): KvLayout {
    return this.options.layout;
  }

  /** How many of these blocks, from the first one on, some worker holds. */
  held(keys: readonly BlockKey[]): number {
    const missing = keys.findIndex((key) => this.holdersOf(key, new Set()).length === 0);
    return missing === -1 ? keys.length : missing;
  }

  /** The keys of the prefix that ends with this block; null if the fleet does not hold all of it. */
  async chainOf(key: BlockKey): Promise<BlockKey[] | null> {
    const chain: BlockKey[] = [];
    for (let next: BlockKey | null = key; next !== null; ) {
      const part = await this.partOfChain(next);
      if (part === null || chain.length + part.keys.length > CHAIN_BLOCKS) return null;
      chain.push(...part.keys);
      next = part.parent;
    }
    return chain.reverse();
  }

  /**
   * Begins to read blocks, in order. What the fleet holds is known late: a block may be gone. If one of the first is, the blocks end before it; if it is
   * a later one, `next` rejects with `Unavailable`.
   */
  async open(keys: readonly BlockKey[], signal: AbortSignal): Promise<OpenedKv> {
    const parts = this.parts(keys, signal);
    const first = (await parts.next()).value ?? [];
    const isWhole = first.length === Math.min(keys.length, this.atOnce);
    const blocks = isWhole ? keys.length : first.length;
    let part: readonly ComputedBlock[] = first;
    let given = 0;
    let before = 0;
    return {
      blocks,
      next: async () => {
        if (given === blocks) return null;
        if (given - before === part.length) {
          before = given;
          part = (await parts.next()).value ?? [];
          if (part.length === 0) throw new Unavailable(`no worker gives block ${keys[given]} any more; ask again`);
        }
        return part[given++ - before]!;
      },
      close: () => void parts.return(undefined),
    };
  }

  /** Some blocks at a time; fewer than asked for, and none after them, where no worker gives one. */
  private async *parts(keys: readonly BlockKey[], signal: AbortSignal): AsyncGenerator<ComputedBlock[], undefined> {
    await this.turns.acquire();
    try {
      const { atOnce } = this;
      let coming = this.fetch(keys.slice(0, atOnce), signal);
      for (let from = 0; from < keys.length; from += atOnce) {
        const here = await coming;
        coming = this.fetch(keys.slice(from + atOnce, from + 2 * atOnce), signal);
        // A reader that leaves does not wait for it.
        coming.catch(() => {});
        yield here;
        if (here.length < Math.min(atOnce, keys.length - from)) return;
      }
    } finally {
      this.turns.release();
    }
  }

  private get atOnce(): number {
    return Math.min(FETCH_BLOCKS, Math.max(1, Math.floor(FETCH_BYTES / this.blockBytes)));
  }

  /**
   * Brings blocks to their homes. Gives the number of blocks that some home has now. Rejects if a home refuses them, or cannot be reached, and no other
   * one takes them.
   */
  async write(blocks: readonly ComputedBlock[]): Promise<number> {
    const { roster, replicas } = this.options;
    const byHome = new Map<string, ComputedBlock[]>();
    for (const each of blocks) {
      for (const home of roster.ring.homes(each.block.segment, replicas)) {
        byHome.set(home, [...(byHome.get(home) ?? []), each]);
      }
    }
    const stored = new Set<BlockKey>();
    let failure: ShoalError | null = byHome.size === 0 ? new Unavailable('no worker keeps blocks now; retry') : null;
    const push = async ([home, some]: [string, ComputedBlock[]]) => {
      try {
        for (const key of await this.push(home, some)) stored.add(key);
      } catch (error) {
        failure = fromWire(toWire(error));
      }
    };
    await Promise.all([...byHome].map(push));
    if (stored.size === 0 && failure !== null) throw failure;
    return stored.size;
  }

  private async push(home: string, blocks: readonly ComputedBlock[]): Promise<Set<BlockKey>> {
    const target = this.options.roster.alive(home);
    if (target === null) throw new Unavailable(`worker ${home} is gone; retry`);
    const bytesOf = new Map(blocks.map((each) => [each.block.key, each]));
    const pin = async (key: BlockKey): Promise<PinnedBlock> => ({
      ...bytesOf.get(key)!,
      shared: null,
      unpin: () => {},
    });
    const offered = blocks.map(({ block }) => block);
    return this.options.peers.push(target, offered, pin, AbortSignal.timeout(PUSH_MS));
  }

  /** The blocks before the first that no worker gives, each from any worker that holds it. */
  private async fetch(keys: readonly BlockKey[], signal: AbortSignal): Promise<ComputedBlock[]> {
    const got: ComputedBlock[] = [];
    const failed = new Set<string>();
    while (got.length < keys.length) {
      const next = keys[got.length]!;
      const [holder] = this.holdersOf(next, failed);
      if (holder === undefined) break;
      await this.fetchFrom(holder, keys.slice(got.length), got, signal).catch((error: unknown) => {
        if (signal.aborted) throw error;
        failed.add(holder.id);
      });
      if (got.length < keys.length && keys[got.length] === next) failed.add(holder.id);
    }
    return got;
  }

  private async fetchFrom(
    holder: PeerTarget,
    keys: readonly BlockKey[],
    into: ComputedBlock[],
    signal: AbortSignal,
  ): Promise<void> {
    const reserve = (block: SealedBlock, byteLength: number) => {
      const bytes = Buffer.allocUnsafeSlow(byteLength);
      return reservation(block.key, bytes, { commit: () => void into.push({ block, bytes }), abort: () => {} });
    };
    await this.options.peers.fetch(holder, keys, { reserve }, signal);
  }

  private holdersOf(key: BlockKey, except: ReadonlySet<string>): PeerTarget[] {
    const { holdings, roster } = this.options;
    return [...holdings.holders(key)].flatMap((id) => {
      const member = except.has(id) ? null : roster.alive(id);
      return member === null ? [] : [member];
    });
  }

  /** A block and those before it, the latest first, as far as one worker holds them. */
  private async partOfChain(key: BlockKey): Promise<{ keys: BlockKey[]; parent: BlockKey | null } | null> {
    for (const { id, incarnation } of this.holdersOf(key, new Set())) {
      const shard = this.options.actors.ref(ShardProtocol, { node: id, incarnation, actor: 'shard' });
      try {
        const part = await shard.ask('chain', { key: packKeys([key]) }, { timeoutMs: CONTROL_TIMEOUT_MS });
        const keys = unpackKeys(part.keys);
        if (keys.length > 0) return { keys, parent: unpackKeys(part.parent)[0] ?? null };
      } catch {
        // Another holder may answer.
      }
    }
    return null;
  }
}
