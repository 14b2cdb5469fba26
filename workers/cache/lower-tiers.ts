import type { Clock } from '../../src/clock.js';
import type { BlockKey, BlockMeta, SealedBlock, TierName } from '../../src/core/block.js';
import { reservation } from '../../src/core/reservation.js';
import { BlockPool } from '../../src/device/block-pool.js';
import { STAGING_BLOCKS, STAGING_FLOOR_BLOCKS, STAGING_IN_BLOCKS } from '../../src/limits.js';
import type { Log } from '../../src/log.js';
import type { TierUse } from '../../src/metrics/worker-metrics.js';
import type { OrtRuntime } from '../../src/ort/runtime.js';
import type { BlockFiles } from './block-folder.js';
import { Demoter } from './demoter.js';
import { DiskTier } from './disk-tier.js';
import { HostTier } from './host-tier.js';
import { Staging, type StagingBuffer } from './staging.js';
import type { HostReservation, RoleOf, Tier, TierListener } from './tier.js';

/** The tiers below the device, and the host memory through which blocks pass. */

export interface LowerTiersOptions {
  readonly runtime: OrtRuntime;
  readonly blockBytes: number;
  /** Host memory for blocks on their way in, and as much again for those on their way out. */
  readonly stagingBytes: number;
  /** 0 for no host tier. */
  readonly hostBudgetBytes: number;
  readonly disk: { readonly files: BlockFiles; readonly budgetBytes: number; readonly fingerprint: string } | null;
  readonly roleOf: RoleOf;
  readonly clock: Clock;
  readonly log: Log;
  /** A file was not what it should be. */
  readonly onDamage: () => void;
}

/** The tiers below the device: host memory, then disk, or one of them, or none. */
export class LowerTiers {
  /** From the first below the device. */
  readonly tiers: readonly Tier[];
  private readonly host: HostTier | null;
  private readonly disk: DiskTier | null;
  private readonly demoter: Demoter | null;
  private readonly inbound: Staging;
  private readonly outbound: Staging;

  constructor(options: LowerTiersOptions) {
    const { runtime, blockBytes, hostBudgetBytes, disk, roleOf } = options;
    const staging = (most: number) => new Staging(runtime, blockBytes, stagingBlocks(options, most));
    this.inbound = staging(STAGING_IN_BLOCKS);
    this.outbound = staging(STAGING_BLOCKS);
    this.disk = disk && new DiskTier({ ...options, ...disk, staging: this.outbound });
    const hosts = hostBudgetBytes >= blockBytes;
    const pool = () => new BlockPool(runtime, blockBytes, hostBudgetBytes);
    const common = { blockBytes, budgetBytes: hostBudgetBytes, below: this.disk, roleOf };
    const host = hosts ? new HostTier({ pool: pool(), ...common }) : null;
    this.host = host;
    this.demoter = host && this.disk && new Demoter(host, async (key) => host.pin(key), this.disk, blockBytes);
    this.tiers = [host, this.disk].filter((tier) => tier !== null);
  }

  /** The one into which the device's blocks fall. */
  get first(): Tier | null {
    return this.tiers[0] ?? null;
  }

  /** Blocks that may be on their way to the device at a time, where nothing else takes any. */
  get takesAtOnce(): number {
    const { blocks, quickBlocks } = this.inbound;
    return Math.max(1, this.disk ? quickBlocks : blocks);
  }

  /** Takes up what outlived an earlier process; to be called before anything else. */
  async open(): Promise<void> {
    await this.disk?.open();
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

  /** Host memory through which a block passes from elsewhere to the device, and which may keep a copy. Null if there is none at the moment. */
  reserveIn(meta: BlockMeta): HostReservation | null {
    const inHost = this.reserveInHost(meta);
    if (inHost !== null) return inHost;
    const buffer = this.inbound.takeAtOnce();
    if (buffer !== null) return this.staged(meta.key, buffer);
    // Before it is not taken at all, something else has to leave the host.
    return this.host?.has(meta.key) === false ? this.host.reserve(meta) : null;
  }

  /**
   * Host memory for a block that is read from the device, and which may keep a copy; waits for the memory. Rejects with `Unavailable` where there
   * is none.
   */
  async reserveOut(meta: BlockMeta): Promise<HostReservation> {
    return this.reserveInHost(meta) ?? this.staged(meta.key, await this.outbound.take());
  }

  /** Memory for a block that leaves the device, and is not kept; waits for it. Rejects with `Unavailable` where there is none. */
  outbox(): Promise<StagingBuffer> {
    return this.outbound.take();
  }

  uses(): TierUse[] {
    return this.tiers.map(({ name: tier, blocks, bytes, budgetBytes }) => ({ tier, blocks, bytes, budgetBytes }));
  }

  reassign(roleOf: RoleOf): void {
    for (const tier of this.tiers) tier.reassign(roleOf);
  }

  /** Empties all of them. */
  reset(): void {
    for (const tier of this.tiers) tier.reset();
  }

  /** Resolves when nothing is on its way to a lower tier. */
  async idle(): Promise<void> {
    this.demoter?.wake();
    await this.demoter?.idle();
    for (const tier of this.tiers) await tier.idle();
  }

  /** What is on disk stays there. Nothing may be read any more. */
  async close(): Promise<void> {
    await this.demoter?.stop();
    for (const tier of this.tiers) await tier.close();
    this.inbound.close();
    this.outbound.close();
  }

  /** Memory of the host tier while there is room: what has left the device does not make room for a copy of what is still on it. */
  private reserveInHost(meta: BlockMeta): HostReservation | null {
    const { host } = this;
    return host?.hasRoom && !host.has(meta.key) ? host.reserve(meta) : null;
  }

  private staged(key: BlockKey, { bytes, linger, release }: StagingBuffer): HostReservation {
    const { disk } = this;
    return reservation(key, bytes, {
      // While it is in memory it costs nothing to read. What the disk is too slow for is copied from the device later.
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
