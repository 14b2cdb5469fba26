import { IdleCondition } from '../../src/async/idle.js';
import type { BlockKey, BlockMeta, PinnedBlock, SealedBlock, TierName } from '../../src/core/block.js';
import type { Admission } from '../../src/core/durability.js';
import { blockBytes } from '../../src/core/kv-layout.js';
import type { Maker } from '../../src/core/maker.js';
import type { DiskState } from '../../src/core/member.js';
import { type NoReservation, type Reservation, reservation } from '../../src/core/reservation.js';
import type { Device, DeviceBlock } from '../../src/device/device.js';
import { digestOf } from '../../src/digest.js';
import type { TierUse } from '../../src/metrics/worker-metrics.js';
import type { BlockHost } from '../../src/peer/server/block-host.js';
import { Announced, type BlockOrigin, type StoreListener } from '../announced.js';
import { Arrivals } from './arrivals.js';
import { Demoter } from './demoter.js';
import { DeviceTier } from './device-tier.js';
import { Landing } from './landing.js';
import type { LowerTiers } from './lower-tiers.js';
import { PinnedBytes, type PinPurpose } from './pinned-bytes.js';
import type { PinnedDeviceBlock } from './pinned-device-block.js';
import { Sealer } from './sealer.js';
import { type DropReason, keptElsewhere, type RoleOf } from './tier.js';

/** The blocks of a worker in all tiers: reserves memory for them, pins them, and reports what comes and goes. */

export interface BlockStoreOptions {
  /** This process, which makes the blocks that it computes. */
  readonly self: Maker;
  readonly device: Device;
  readonly lower: LowerTiers;
  readonly roleOf: RoleOf;
  /** A block could not be moved from one memory to another. */
  readonly onFailed: (error: unknown) => void;
}

/**
 * The blocks of this worker, in all tiers. Sequences get blocks of the device alone, peers blocks of any tier. Each reader of a block pins the
 * block, so that its memory is never reused under the reader.
 */
export class BlockStore implements BlockHost {
  private readonly device: Device;
  private readonly lower: LowerTiers;
  private readonly upper: DeviceTier;
  private readonly demoter: Demoter | null;
  private readonly arrivals: Arrivals;
  private readonly announced = new Announced((key) => this.sealed(key) !== null);
  private readonly pinned: PinnedBytes;
  private readonly sealer: Sealer;
  private readonly landing: Landing;
  private readonly quietCondition = new IdleCondition(
    () => this.upper.pins === 0 && this.pinned.size === 0 && this.arrivals.size === 0,
  );

  constructor(private readonly options: BlockStoreOptions) {
    const { device, lower, roleOf } = options;
    this.device = device;
    this.lower = lower;
    this.upper = new DeviceTier(device, roleOf, {
      evicting: ({ sealed, block }) => {
        const bytes = sealed && device.view(block);
        if (bytes && lower.tierOf(sealed.key) === null) lower.first?.take(sealed, bytes);
      },
      evicted: (key) => {
        this.demoter?.forget(key);
        this.announced.left('device', key, lower.tierOf(key) ? 'demoted' : 'evicted');
      },
    });
    const { onFailed: failed } = options;
    this.pinned = new PinnedBytes(device, this.upper, lower, { unpinned: (how) => this.unpinned(how), failed });
    this.arrivals = new Arrivals(device, this.upper, () => this.quietCondition.notify());
    lower.listen((tier) => ({
      landed: (sealed) => {
        if (tier === lower.first?.name) this.demoter?.forget(sealed.key);
        this.announced.added(sealed, 'kept');
      },
      left: (key, reason) => {
        if (tier === lower.first?.name) this.demoter?.lost(key);
        this.announced.left(tier, key, reason);
      },
    }));
    this.sealer = new Sealer(device, lower, options.self, {
      sealed: (resident, block) => this.landing.sealedLater(resident, block),
      failed: (resident, error) => {
        const { key } = resident.meta;
        if (this.upper.get(key) === resident) {
          this.upper.remove(key);
          this.demoter?.forget(key);
        }
        failed(error);
      },
      unpinned: () => this.quietCondition.notify(),
    });
    const pin = (key: BlockKey) => this.pinned.pinToDemote(key);
    this.demoter = lower.first && new Demoter(this.upper, pin, lower.first, blockBytes(device.layout));
    this.landing = new Landing(device, this.upper, this.announced, this.sealer, this.demoter);
  }

  /** Indexes the blocks that outlived an earlier process; to be called before anything else. */
  async open(): Promise<void> {
    await this.lower.open();
    for (const tier of this.lower.tiers) for (const key of tier.keys()) this.announced.found(key);
  }

  listen(listener: Partial<StoreListener>): void {
    this.announced.listen(listener);
  }

  /** Whether the block is on the device. */
  has(key: BlockKey): boolean {
    return this.upper.has(key);
  }

  /** Whether the block is in transit to the device: computed, fetched, pushed or promoted at this moment. */
  comes(key: BlockKey): boolean {
    return this.arrivals.has(key);
  }

  /** Resolves when the block is no longer incoming, whether or not it arrived. Rejects with `Cancelled` if the signal comes first. */
  async settled(key: BlockKey, signal: AbortSignal): Promise<void> {
    await this.arrivals.settled(key, signal);
  }

  /** Keys of all blocks that can be given to others, as they are now. */
  keys(): BlockKey[] {
    return [...this.announced.keys()];
  }

  /** Null for a block that cannot be given to others. */
  sealed(key: BlockKey): SealedBlock | null {
    return this.upper.get(key)?.sealed ?? this.lower.tierOf(key)?.sealed(key) ?? null;
  }

  /** The fastest tier from which the block can be given to others; null if none can. */
  tierOf(key: BlockKey): TierName | null {
    return this.upper.get(key)?.sealed ? 'device' : (this.lower.tierOf(key)?.name ?? null);
  }

  /** Pins a block on the device and counts a use of it; null if the block is not there. */
  pinOnDevice(key: BlockKey): PinnedDeviceBlock | null {
    const pin = this.upper.pin(key);
    if (!pin) return null;
    // Only then, since the heap of evictable blocks no longer has to be sorted for it.
    this.upper.touch(key);
    const { meta, block, foreign } = pin.value;
    const unpin = () => {
      pin.unpin();
      this.unpinned('used');
    };
    return { meta, block, foreign, unpin };
  }

  /** A sequence of this worker uses the block from now on: it is no longer foreign. */
  adopt(key: BlockKey): void {
    const resident = this.upper.get(key);
    if (resident) resident.foreign = false;
  }

  /**
   * Reserves memory for a block that comes from elsewhere; evicts for it, but never the block's parent. `commit` resolves when the block is on the
   * device, and rejects where the device fails to take it.
   * @param source the block's bytes, where host memory has them already: the reservation may be of that memory, which then is not to be filled
   * @param admission `spare`: evicts only if a lower tier has room for the evicted block
   */
  reserveBytes(
    sealed: SealedBlock,
    origin: BlockOrigin,
    source: Uint8Array | null = null,
    admission: Admission = 'evict',
  ): Reservation<Uint8Array, Promise<void>> | NoReservation {
    const arriving = this.arrivals.reserve(sealed, admission === 'evict' || this.lower.hasRoom);
    if (typeof arriving === 'string') return arriving;
    const view = this.device.view(arriving.memory);
    if (view) {
      const commit = async () => void this.landing.land(arriving, sealed, origin);
      return reservation(sealed.key, view, { commit, abort: arriving.abort });
    }
    const copy = source ? keptElsewhere(sealed.key, source) : this.lower.reserveIn(sealed);
    if (!copy) {
      arriving.abort();
      return 'full';
    }
    return reservation(sealed.key, copy.memory, {
      commit: () => this.landing.upload(arriving, copy, sealed, origin),
      abort: () => {
        copy.abort();
        arriving.abort();
      },
    });
  }

  /**
   * Reserves memory for a block that the engine computes. Where the host can read the device's memory, `commit` takes the digest; else the digest is
   * taken off the reply path, and until then only sequences of this worker get the block. Null for a block whose parent is not here: otherwise a
   * prompt that is longer than the cache would evict its own beginning.
   */
  reserve(meta: BlockMeta): Reservation<DeviceBlock> | null {
    const { parent } = meta;
    if (parent !== null && !this.has(parent) && !this.comes(parent) && !this.lower.tierOf(parent)) return null;
    const arriving = this.arrivals.reserve(meta);
    if (typeof arriving === 'string') return null;
    return reservation(meta.key, arriving.memory, {
      commit: () => {
        const bytes = this.device.view(arriving.memory);
        if (bytes)
          this.landing.land(arriving, { ...meta, digest: digestOf(bytes), maker: this.options.self }, 'computed');
        else this.landing.landUnsealed(arriving, meta);
      },
      abort: arriving.abort,
    });
  }

  isShared(key: BlockKey): boolean {
    const resident = this.upper.get(key);
    return resident !== null && this.device.sharedPlace(resident.block) !== null;
  }

  /** @param purpose `read` hands the block on to the worker that reads it */
  pin(key: BlockKey, purpose: PinPurpose = 'read'): Promise<PinnedBlock | null> {
    return this.pinned.pin(key, purpose);
  }

  admit(block: SealedBlock, admission: Admission = 'evict'): Reservation<Uint8Array, Promise<void>> | NoReservation {
    if (this.sealed(block.key)) return 'present';
    const reserved = this.reserveBytes(block, 'pushed', null, this.upper.retains(block.key) ? 'evict' : admission);
    // An incoming block may fail to arrive, and a block without a digest is never sent: the peer must not count on this copy.
    return reserved === 'present' ? 'full' : reserved;
  }

  /** Never evicts the blocks with these keys, those to come included, until the next call. Where the device has one, a lower copy may go. */
  retain(keys: ReadonlySet<BlockKey>): void {
    this.upper.retain(keys);
    this.lower.retain(new Set([...keys].filter((key) => !this.upper.has(key))));
  }

  /** Gives each block the role that the changed ring has for it. */
  reassignRoles(): void {
    this.upper.reassign();
    this.lower.reassign(this.options.roleOf);
  }

  /** The tiers that have the block. */
  tiersOf(key: BlockKey): TierName[] {
    const lower = this.lower.tiers.filter((tier) => tier.has(key)).map(({ name }) => name);
    return this.has(key) ? ['device', ...lower] : lower;
  }

  /** Drops one block from all tiers. False if no tier had it. */
  drop(key: BlockKey, reason: DropReason = 'wrong'): boolean {
    const here = this.has(key) || this.lower.tierOf(key) !== null;
    this.demoter?.forget(key);
    // The lower tiers first: afterwards, nothing of the block is left that could be announced.
    this.lower.drop(key, reason);
    if (this.upper.remove(key)) this.announced.left('device', key, reason);
    return here;
  }

  /** Tries again to remove the files of blocks that are not here any more. Resolves with whether all are gone. */
  filesRemoved(): Promise<boolean> {
    return this.lower.filesRemoved();
  }

  /** Descriptions of all blocks, those without a digest included. */
  *metas(): Generator<BlockMeta> {
    for (const key of this.upper.keys()) yield this.upper.get(key)!.meta;
    for (const tier of this.lower.tiers) for (const key of tier.keys()) yield tier.sealed(key)!;
  }

  /** Memory on the device for a block that is not kept; evicts for it. Null if there is none. The caller gives it back to the device. */
  scratch(): DeviceBlock | null {
    return this.upper.allocate(null, true);
  }

  /** Drops all blocks of all tiers and all incoming ones; pinned memory is freed at the last unpin. Returns the number of dropped blocks. */
  reset(): number {
    this.arrivals.reset();
    const dropped = this.upper.reset();
    const count = new Set([...dropped, ...this.announced.keys()]).size;
    for (const key of dropped) {
      this.demoter?.forget(key);
      this.announced.left('device', key, 'reset');
    }
    this.lower.reset();
    return count;
  }

  /** Resolves when no block is pinned, about to be pinned or incoming, and no digest is pending. */
  quiet(): Promise<void> {
    return this.quietCondition.wait();
  }

  /** Goes on to copy blocks to lower tiers: one of them may take blocks that it did not take before. */
  copyDown(): void {
    this.demoter?.wake();
    this.lower.copyDown();
  }

  /** Resolves when no copy to a lower tier and no removal of a file is pending. */
  async idle(): Promise<void> {
    await this.sealer.idle();
    this.demoter?.wake();
    await this.demoter?.idle();
    await this.lower.idle();
  }

  /** Frees all memory; files stay. To be called when the store is quiet. */
  async close(): Promise<void> {
    await this.demoter?.stop();
    this.upper.reset();
    await this.lower.close();
  }

  /** Limit on the incoming blocks. */
  get takesAtOnce(): number {
    return this.device.kind === 'cpu' ? Number.POSITIVE_INFINITY : this.lower.takesAtOnce;
  }

  /** Blocks that can be given to others, each counted once. */
  get blocks(): number {
    return this.announced.size;
  }

  get disk(): DiskState {
    return this.lower.disk;
  }

  get tiers(): readonly TierUse[] {
    return [this.upper.use, ...this.lower.uses()];
  }

  private unpinned(how: 'used' | 'down'): void {
    // A block in use could not be copied down.
    if (how === 'used' && this.upper.pins === 0) this.demoter?.wake();
    this.quietCondition.notify();
  }
}
