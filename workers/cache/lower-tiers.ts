import type { Clock } from '../../src/clock.js';
import type { BlockKey, BlockMeta, SealedBlock, TierName } from '../../src/core/block.js';
import type { DiskState } from '../../src/core/member.js';
import { reservation } from '../../src/core/reservation.js';
import { BlockPool } from '../../src/device/block-pool.js';
import { PEER_BLOCKS_PINNED } from '../../src/limits.js';
import type { TierUse } from '../../src/metrics/worker-metrics.js';
import type { OrtRuntime } from '../../src/ort/runtime.js';
import type { PacedLog } from '../../src/paced-log.js';
import { Demoter } from './demoter.js';
import { DiskTier, type DiskTierOptions } from './disk-tier.js';
import { HostTier } from './host-tier.js';
import { Staging, type StagingBuffer } from './staging.js';
import type { DropReason, HostReservation, RoleOf, Tier, TierListener } from './tier.js';

/** The tiers below the device, and the host memory through which blocks pass. */

/** Limit on the staging buffers for blocks in transit to the device. */
const STAGING_IN_BLOCKS = 4 * PEER_BLOCKS_PINNED;
/** Limit on the staging buffers for blocks that come from the device or from a disk. @internal exported for tests. */
export const STAGING_BLOCKS = 16;
/** Least number of staging buffers in each direction, even if they exceed `STAGING_BYTES`. */
const STAGING_FLOOR_BLOCKS = 2;

export interface LowerTiersOptions {
  readonly runtime: OrtRuntime;
  readonly blockBytes: number;
  /** Host memory for incoming blocks, and as much again for outgoing ones. */
  readonly stagingBytes: number;
  /** 0 for no host tier. */
  readonly hostBudgetBytes: number;
  readonly disk: Pick<DiskTierOptions, 'files' | 'budgetBytes' | 'fingerprint' | 'secret'> | null;
  readonly roleOf: RoleOf;
  readonly clock: Clock;
  readonly log: PacedLog;
  /** Time to compute a block; null if unknown. */
  readonly computeMsPerBlock: () => number | null;
  /** The disk has stopped answering, or answers again. */
  readonly onAnswers: () => void;
  /** The bytes of a file do not match the digest of its block. */
  readonly onDamage: (block: BlockKey) => void;
}

/** The tiers below the device: host memory, then disk, or one of them, or none. */
export class LowerTiers {
  /** The fastest first. */
  readonly tiers: readonly Tier[];
  private readonly host: HostTier | null;
  private readonly diskTier: DiskTier | null;
  private readonly demoter: Demoter | null;
  private readonly inbound: Staging;
  private readonly outbound: Staging;

  constructor(options: LowerTiersOptions) {
    const { runtime, blockBytes, hostBudgetBytes, disk, roleOf } = options;
    const staging = (most: number) => new Staging(runtime, blockBytes, stagingBlocks(options, most));
    this.inbound = staging(STAGING_IN_BLOCKS);
    this.outbound = staging(STAGING_BLOCKS);
    this.diskTier = disk && new DiskTier({ ...options, ...disk, staging: this.outbound });
    const hosts = hostBudgetBytes >= blockBytes;
    const pool = () => new BlockPool(runtime, blockBytes, hostBudgetBytes);
    const common = { blockBytes, budgetBytes: hostBudgetBytes, below: this.diskTier, roleOf };
    const host = hosts ? new HostTier({ pool: pool(), ...common }) : null;
    this.host = host;
    this.demoter = host && this.diskTier && new Demoter(host, async (key) => host.pin(key), this.diskTier, blockBytes);
    this.tiers = [host, this.diskTier].filter((tier) => tier !== null);
  }

  /** The tier that the device's blocks are demoted to. */
  get first(): Tier | null {
    return this.tiers[0] ?? null;
  }

  get disk(): DiskState {
    if (this.diskTier === null) return 'none';
    return this.diskTier.answers ? 'answers' : 'away';
  }

  /** Tries again to remove the files of blocks that are not here any more. Resolves with whether all are gone. */
  async filesRemoved(): Promise<boolean> {
    return this.diskTier?.filesRemoved() ?? true;
  }

  /** Whether a tier could take one more block without an eviction. */
  get hasRoom(): boolean {
    return this.tiers.some(({ hasRoom }) => hasRoom);
  }

  /** Limit on the blocks in transit to the device, if all of them belong to one caller. */
  get takesAtOnce(): number {
    const { blocks, quickBlocks } = this.inbound;
    return Math.max(1, this.diskTier ? quickBlocks : blocks);
  }

  /** Indexes the blocks that outlived an earlier process; to be called before anything else. */
  async open(): Promise<void> {
    await this.diskTier?.open();
  }

  /** One listener. */
  listen(listener: (tier: TierName) => TierListener): void {
    for (const tier of this.tiers) {
      const told = listener(tier.name);
      tier.listen({
        landed: (block) => {
          told.landed(block);
          if (tier === this.host) this.demoter?.came(block.key);
          else this.demoter?.forget(block.key);
        },
        left: (key, reason) => {
          if (tier === this.host) this.demoter?.forget(key);
          else this.demoter?.lost(key);
          told.left(key, reason);
        },
      });
    }
  }

  /** The first tier that has the block. */
  tierOf(key: BlockKey): Tier | null {
    return this.tiers.find((tier) => tier.has(key)) ?? null;
  }

  /** Reserves host memory through which a block passes to the device, and which may keep a copy. Null if none is free at the moment. */
  reserveIn(meta: BlockMeta): HostReservation | null {
    const inHost = this.reserveInHost(meta);
    if (inHost !== null) return inHost;
    const buffer = this.inbound.takeAtOnce();
    if (buffer !== null) return this.staged(meta.key, buffer);
    // Better to evict from the host than to refuse the block.
    return this.host?.has(meta.key) === false ? this.host.reserve(meta) : null;
  }

  /**
   * Reserves host memory for a block that is read from the device, and which may keep a copy; waits until some is free. Rejects with `Unavailable`
   * where the system has none.
   */
  async reserveOut(meta: BlockMeta): Promise<HostReservation> {
    return this.reserveInHost(meta) ?? this.staged(meta.key, await this.outbound.take());
  }

  /** Memory for a copy that is not kept; waits until some is free. Rejects with `Unavailable` where the system has none. */
  outbox(): Promise<StagingBuffer> {
    return this.outbound.take();
  }

  uses(): TierUse[] {
    return this.tiers.map(({ name: tier, blocks, bytes, budgetBytes }) => ({ tier, blocks, bytes, budgetBytes }));
  }

  retain(keys: ReadonlySet<BlockKey>): void {
    for (const tier of this.tiers) tier.retain(keys);
  }

  reassign(roleOf: RoleOf): void {
    for (const tier of this.tiers) tier.reassign(roleOf);
  }

  /** Drops one block from every tier. */
  drop(key: BlockKey, reason: DropReason): void {
    for (const tier of this.tiers) tier.drop(key, reason);
  }

  /** Drops all blocks. */
  reset(): void {
    for (const tier of this.tiers) tier.reset();
  }

  copyDown(): void {
    this.demoter?.wake();
  }

  /** Resolves when no block is in transit to a lower tier. */
  async idle(): Promise<void> {
    this.demoter?.wake();
    await this.demoter?.idle();
    for (const tier of this.tiers) await tier.idle();
  }

  /** Frees all memory; files stay. No block may be pinned. */
  async close(): Promise<void> {
    await this.demoter?.stop();
    for (const tier of this.tiers) await tier.close();
    this.inbound.close();
    this.outbound.close();
  }

  /** Only while there is room: a block that has left the device is not evicted for a copy of one that is still on it. */
  private reserveInHost(meta: BlockMeta): HostReservation | null {
    const { host } = this;
    return host?.hasRoom && !host.has(meta.key) ? host.reserve(meta) : null;
  }

  private staged(key: BlockKey, { bytes, linger, release }: StagingBuffer): HostReservation {
    const { diskTier: disk } = this;
    return reservation(key, bytes, {
      // The bytes are in memory now and need no download. If the disk is too slow for that, the demoter copies the block later.
      commit: (block: SealedBlock) => {
        if (disk?.hasRoom && linger()) void disk.put(block, bytes).finally(release);
        else release();
      },
      abort: release,
    });
  }
}

function stagingBlocks({ stagingBytes, blockBytes }: LowerTiersOptions, most: number): number {
  return Math.min(most, Math.max(STAGING_FLOOR_BLOCKS, Math.floor(stagingBytes / blockBytes)));
}
