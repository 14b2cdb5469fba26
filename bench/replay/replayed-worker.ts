import type { BlockKey, BlockMeta, SealedBlock } from '../../src/core/block.js';
import { type Durability, roleUnder } from '../../src/core/durability.js';
import { planFetch } from '../../src/core/fetch-plan.js';
import type { KvLayout } from '../../src/core/kv-layout.js';
import { FETCH_LATENCY_MS } from '../../src/core/rates.js';
import type { HomesOf } from '../../src/core/replication.js';
import { digestOf } from '../../src/digest.js';
import type { PrefixRequest } from '../../src/engine/prefix-cache.js';
import { SILENT_LOG } from '../../src/log.js';
import type { OrtRuntime } from '../../src/ort/runtime.js';
import { PacedLog } from '../../src/paced-log.js';
import { BlockStore } from '../../workers/cache/block-store.js';
import { LowerTiers } from '../../workers/cache/lower-tiers.js';
import { PrefixLoader } from '../../workers/prefix/prefix-loader.js';
import type { CostModel } from './cost-model.js';
import type { EventQueue } from './event-queue.js';
import { TRACE_BLOCK_TOKENS } from './trace.js';
import { WeightlessDevice } from './weightless-device.js';

/** One worker of a replay: the production cache over blocks without bytes, and a prefix loader whose transfers take virtual time. */

const LAYOUT: KvLayout = { layers: 1, kvHeads: 1, headDim: 1, blockTokens: TRACE_BLOCK_TOKENS, elementType: 'float16' };
const NO_PROMOTER = { worth: () => false, promote: async () => {} };
/** The digest of all blocks: they have no bytes. */
const DIGEST = digestOf(new Uint8Array(0));

/** The blocks that a prefill found. */
export interface LoadedPrefix {
  readonly blocks: number;
  /** Of those, the blocks that came from peers. */
  readonly fetchedBlocks: number;
  /** Time for the transfers. */
  readonly fetchMs: number;
  /** The prefill has ended: gives the blocks that were computed and kept. To be called once. */
  end(): SealedBlock[];
}

export interface ReplayedWorkerOptions {
  readonly id: string;
  readonly capacityBlocks: number;
  readonly durability: Durability;
  readonly runtime: OrtRuntime;
  readonly clock: EventQueue;
  readonly cost: CostModel;
  readonly homesOf: HomesOf;
  /** The living worker of this ID, if it is another than this one. */
  readonly peer: (id: string) => ReplayedWorker | undefined;
}

export class ReplayedWorker {
  readonly id: string;
  readonly store: BlockStore;
  /** Counts its processes: 1 for the first. */
  incarnation = 1;
  private readonly loader: PrefixLoader;
  private fetched = { blocks: 0, ms: 0 };

  constructor(private readonly options: ReplayedWorkerOptions) {
    const { id, capacityBlocks, durability, runtime, clock, homesOf } = options;
    this.id = id;
    const roleOf = (block: BlockMeta) => roleUnder(durability, block, id, homesOf);
    const lower = new LowerTiers({
      ...{ runtime, roleOf, clock },
      ...{ blockBytes: 1, stagingBytes: 0, hostBudgetBytes: 0, disk: null, log: new PacedLog(SILENT_LOG, clock) },
      computeMsPerBlock: () => null,
      onAnswers: () => {},
      onDamage: () => {},
    });
    const onFailed = (error: unknown) => {
      throw error;
    };
    const device = new WeightlessDevice(LAYOUT, capacityBlocks);
    this.store = new BlockStore({ self: { id, incarnation: '1' }, device, lower, roleOf, onFailed });
    this.loader = new PrefixLoader(
      this.store,
      { fetch: (wanted, request, signal) => this.fetch(wanted, request, signal) },
      NO_PROMOTER,
    );
  }

  /** Loads the prefix of a prompt from this worker's memory and from peers. */
  async load(request: PrefixRequest): Promise<LoadedPrefix> {
    this.fetched = { blocks: 0, ms: 0 };
    const prepared = await this.loader.prepare(request, new AbortController().signal);
    prepared.claim();
    const { blocks: fetchedBlocks, ms: fetchMs } = this.fetched;
    const blocks = prepared.blocks.length;
    const end = () => {
      const computed: SealedBlock[] = [];
      for (const meta of request.blocks.slice(blocks)) {
        const reserved = this.loader.reserve(meta);
        if (reserved === null) break;
        reserved.commit();
        computed.push(this.sealed(meta));
      }
      prepared.settle();
      prepared.unpin();
      return computed;
    };
    return { blocks, fetchedBlocks: Math.min(fetchedBlocks, blocks), fetchMs, end };
  }

  private sealed(meta: BlockMeta): SealedBlock {
    return { ...meta, digest: DIGEST, maker: { id: this.id, incarnation: '1' } };
  }

  /** Copies the blocks that peers have, as the production's plan has it. */
  private async fetch(wanted: readonly BlockMeta[], request: PrefixRequest, _: AbortSignal): Promise<void> {
    const { cost, homesOf, peer } = this.options;
    const plan = planFetch({
      wanted,
      hints: request.sources,
      homesOf,
      reachable: (worker) => peer(worker) !== undefined && worker !== this.id,
      policy: 'cheapest',
      fetchBytesPerMs: () => cost.fetchBytesPerMs,
      computeMsPerToken: cost.computeMsPerToken,
      blockTokens: TRACE_BLOCK_TOKENS,
      blockBytes: cost.blockBytes,
    });
    if (plan.parts.length > 0) this.fetched.ms += FETCH_LATENCY_MS;
    for (const { from, otherwise, blocks } of plan.parts) {
      for (const block of blocks) {
        if (!(await this.fetchBlock(block.key, [from, ...otherwise]))) return;
      }
    }
  }

  /** False if no peer has the block, or there is no room for it. */
  private async fetchBlock(key: BlockKey, workers: readonly string[]): Promise<boolean> {
    const { cost, peer } = this.options;
    for (const worker of workers) {
      const pinned = await peer(worker)?.store.pin(key);
      if (!pinned) continue;
      const reserved = this.store.reserveBytes(pinned.block, 'fetched');
      pinned.unpin();
      if (typeof reserved === 'string') return false;
      await reserved.commit();
      this.fetched.blocks++;
      this.fetched.ms += cost.blockBytes / cost.fetchBytesPerMs;
      return true;
    }
    return false;
  }
}
