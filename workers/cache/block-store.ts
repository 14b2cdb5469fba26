import type { BlockKey, BlockMeta, LentBlock, SealedBlock, TierName } from '../../src/core/block.js';
import { blockBytes } from '../../src/core/kv-layout.js';
import type { Device, DeviceBlock } from '../../src/device/device.js';
import { digestOf } from '../../src/digest.js';
import type { ReservedBlock } from '../../src/engine/prefix-cache.js';
import type { TierUse } from '../../src/metrics/worker-metrics.js';
import type { Admission, BlockHost } from '../../src/peer/server/block-host.js';
import { Announced, type BlockOrigin, type StoreListener } from '../announced.js';
import { Arrivals, type Arriving, type NoPlace } from './arrivals.js';
import type { BlockPlace } from './block-place.js';
import { Demoter } from './demoter.js';
import { type DeviceResident, DeviceTier } from './device-tier.js';
import { Lending } from './lending.js';
import type { LowerTiers, Passage } from './lower-tiers.js';
import { Sealer } from './sealer.js';
import type { RoleOf } from './tier.js';

/** A block on the device that stays where it is until `release`. */
export interface BorrowedBlock {
  readonly meta: BlockMeta;
  readonly block: DeviceBlock;
  /** It came from a peer, and no sequence of this worker has used it yet. */
  readonly foreign: boolean;
  release(): void;
}

export interface BlockStoreOptions {
  readonly device: Device;
  readonly lower: LowerTiers;
  readonly roleOf: RoleOf;
  /** A block could not be moved from one memory to another. */
  readonly onFailed: (error: unknown) => void;
}

/** For bytes that are where they belong already. */
const NOTHING_MORE = { keep: () => {}, drop: () => {} };

/**
 * The blocks of this worker, in all tiers. Sequences are given those on the device; peers those of any tier. All that reads a block holds it by a
 * pin, so that its memory is never used again under a reader.
 */
export class BlockStore implements BlockHost {
  private readonly device: Device;
  private readonly lower: LowerTiers;
  private readonly upper: DeviceTier;
  private readonly demoter: Demoter | null;
  private readonly arrivals: Arrivals;
  private readonly announced = new Announced((key) => this.sealed(key) !== null);
  private readonly lending: Lending;
  private readonly sealer: Sealer;
  private waiters: (() => void)[] = [];

  constructor(private readonly options: BlockStoreOptions) {
    const { device, lower, roleOf } = options;
    this.device = device;
    this.lower = lower;
    this.upper = new DeviceTier(device, roleOf, {
      evicting: ({ sealed, block }) => {
        const bytes = sealed && device.view(block);
        if (bytes) lower.rescue(sealed, bytes);
      },
      evicted: (key) => {
        this.demoter?.forget(key);
        this.announced.left('device', key, lower.has(key) ? 'demoted' : 'evicted');
      },
    });
    this.lending = new Lending(device, this.upper, lower, {
      returned: (how) => this.letGo(how),
      failed: options.onFailed,
    });
    this.arrivals = new Arrivals(device, this.upper, () => this.tellIfQuiet());
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
    this.sealer = new Sealer(device, lower, {
      sealed: (resident, block) => this.sealedLater(resident, block),
      failed: (resident, error) => {
        const { key } = resident.meta;
        if (this.upper.get(key) === resident) {
          this.upper.drop(key);
          this.demoter?.forget(key);
        }
        options.onFailed(error);
      },
      released: () => this.tellIfQuiet(),
    });
    const lend = (key: BlockKey) => this.lending.lendDown(key);
    this.demoter = lower.first && new Demoter(this.upper, lend, lower.first, blockBytes(device.layout));
  }

  /** Takes up what outlived an earlier process; to be called before anything else. */
  async open(): Promise<void> {
    await this.lower.open();
    for (const tier of this.lower.tiers) for (const key of tier.keys()) this.announced.found(key);
  }

  listen(listener: Partial<StoreListener>): void {
    this.announced.listen(listener);
  }

  /** Whether it is on the device. */
  has(key: BlockKey): boolean {
    return this.upper.has(key);
  }

  /** Whether it is on its way to the device: computed, fetched, pushed or brought up at this moment. */
  comes(key: BlockKey): boolean {
    return this.arrivals.has(key);
  }

  /** Resolves when the block is not on its way any more, whether or not it is here then. Rejects with `Cancelled` if the signal comes first. */
  async settled(key: BlockKey, signal: AbortSignal): Promise<void> {
    await this.arrivals.settled(key, signal);
  }

  /** Keys of all blocks that can be given to others, as they are now. */
  keys(): BlockKey[] {
    return [...this.announced.keys()];
  }

  /** Null for what cannot be given to others. */
  sealed(key: BlockKey): SealedBlock | null {
    return this.upper.get(key)?.sealed ?? this.lower.sealed(key);
  }

  /** The fastest tier from which the block can be given to others; null if none can. */
  tierOf(key: BlockKey): TierName | null {
    return this.upper.get(key)?.sealed ? 'device' : (this.lower.of(key)?.name ?? null);
  }

  /** Pins a block on the device and counts the use of it; null if it is not there. */
  borrow(key: BlockKey): BorrowedBlock | null {
    this.upper.touch(key);
    const held = this.upper.hold(key);
    if (!held) return null;
    const { meta, block, foreign } = held.value;
    const release = () => {
      held.release();
      this.letGo('used');
    };
    return { meta, block, foreign, release };
  }

  /** A sequence of this worker uses the block from now on: it is no longer foreign. */
  adopt(key: BlockKey): void {
    const resident = this.upper.get(key);
    if (resident) resident.foreign = false;
  }

  /**
   * Takes memory for a block that comes from elsewhere, evicting what is least worth keeping, but never the block's parent.
   * @param source the block's bytes, where they are in host memory already: then `into` may be that, and need not be filled
   */
  place(meta: BlockMeta, source: Uint8Array | null = null): BlockPlace | NoPlace {
    const arriving = this.arrivals.begin(meta);
    if (typeof arriving === 'string') return arriving;
    const { block } = arriving;
    const view = this.device.view(block);
    const passage = view ? null : source ? { ...NOTHING_MORE, bytes: source } : this.lower.passageIn(meta);
    if (!view && !passage) {
      arriving.giveUp();
      return 'full';
    }
    return {
      into: view ?? passage!.bytes,
      commit: (sealed, origin) => {
        arriving.settle();
        if (passage) return this.upload(arriving, passage, sealed, origin);
        this.land(arriving, sealed, origin);
        return Promise.resolve();
      },
      abandon: () => {
        arriving.settle();
        passage?.drop();
        arriving.giveUp();
      },
    };
  }

  /**
   * A place for a block that the engine computes. Where the device's memory can be read in place, its digest is taken at once; else off the reply
   * path, and until then it is only for the sequences of this worker, whose own work it is. Null for a block whose parent is not here: a prompt
   * that is longer than the cache would else push its own beginning out.
   */
  reserve(meta: BlockMeta): ReservedBlock | null {
    const { parent } = meta;
    if (parent !== null && !this.has(parent) && !this.comes(parent) && !this.lower.has(parent)) return null;
    const arriving = this.arrivals.begin(meta);
    if (typeof arriving === 'string') return null;
    return {
      block: arriving.block,
      seal: () => {
        arriving.settle();
        const bytes = this.device.view(arriving.block);
        if (bytes) this.land(arriving, { ...meta, digest: digestOf(bytes) }, 'computed');
        else this.landUnsealed(arriving);
      },
      abandon: () => {
        arriving.settle();
        arriving.giveUp();
      },
    };
  }

  isShared(key: BlockKey): boolean {
    const resident = this.upper.get(key);
    return resident !== null && this.device.sharedPlace(resident.block) !== null;
  }

  lend(key: BlockKey): Promise<LentBlock | null> {
    return this.lending.lend(key);
  }

  admit(block: SealedBlock): Admission {
    if (this.sealed(block.key)) return { kind: 'held' };
    const place = this.place(block);
    // On its way is not here yet, nor is what nobody else may have: who pushes it must not count on this copy.
    if (typeof place === 'string') return { kind: 'full' };
    const { into } = place;
    return { kind: 'accepted', into, commit: () => place.commit(block, 'pushed'), abort: () => place.abandon() };
  }

  /** The ring has changed: says anew which blocks are kept as a duty. */
  reassignRoles(): void {
    this.upper.reassign();
    this.lower.reassign(this.options.roleOf);
  }

  /** Drops every block in every tier, and what is on its way here; memory that is read is given back after that. Returns how many were dropped. */
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

  /** Resolves when nothing reads a block or waits for one to read, none is on its way, and no digest is to be taken. */
  quiet(): Promise<void> {
    return new Promise((resolve) => {
      this.waiters.push(resolve);
      this.tellIfQuiet();
    });
  }

  /** Resolves when all is copied to lower tiers that is to be, and what is dropped there is gone. */
  async idle(): Promise<void> {
    await this.sealer.idle();
    this.demoter?.wake();
    await this.demoter?.idle();
    await this.lower.idle();
  }

  /** Gives all memory back; what is on disk stays there. To be called when it is quiet. */
  async close(): Promise<void> {
    await this.demoter?.stop();
    this.upper.reset();
    await this.lower.close();
  }

  /** Blocks that may be on their way here at a time. */
  get takesAtOnce(): number {
    return this.device.kind === 'cpu' ? Number.POSITIVE_INFINITY : this.lower.takesAtOnce;
  }

  /** Blocks that can be given to others, each counted once. */
  get blocks(): number {
    return this.announced.size;
  }

  get tiers(): readonly TierUse[] {
    const { blocks, bytes, budgetBytes } = this.upper;
    const device = { tier: 'device' as const, blocks, bytes, budgetBytes };
    return [device, ...this.lower.uses()];
  }

  /** The block is on the device, with its digest. */
  private land(arriving: Arriving, sealed: SealedBlock, origin: BlockOrigin): boolean {
    if (!arriving.land()) return false;
    const foreign = origin === 'fetched' || origin === 'pushed';
    this.upper.insert({ meta: arriving.meta, block: arriving.block, sealed, foreign });
    this.announced.usable(sealed.key);
    this.announced.added(sealed, origin);
    this.demoter?.came(sealed.key);
    return true;
  }

  /** The block is on the device, which has to be asked for its bytes. */
  private landUnsealed(arriving: Arriving): void {
    if (!arriving.land()) return;
    const { meta, block } = arriving;
    this.upper.insert({ meta, block, sealed: null, foreign: false });
    this.announced.usable(meta.key);
    this.sealer.add(this.upper.hold(meta.key)!);
  }

  private sealedLater(resident: DeviceResident, block: SealedBlock): boolean {
    if (this.upper.get(block.key) !== resident) return false;
    resident.sealed = block;
    this.announced.added(block, 'computed');
    this.demoter?.came(block.key);
    return true;
  }

  private async upload(arriving: Arriving, passage: Passage, sealed: SealedBlock, origin: BlockOrigin): Promise<void> {
    try {
      await this.device.upload(arriving.block, passage.bytes);
    } catch (error) {
      passage.drop();
      arriving.giveUp();
      throw error;
    }
    if (this.land(arriving, sealed, origin)) passage.keep(sealed);
    else passage.drop();
  }

  private letGo(how: 'used' | 'down'): void {
    // What was in use could not be copied down.
    if (how === 'used' && this.upper.held === 0) this.demoter?.wake();
    this.tellIfQuiet();
  }

  private tellIfQuiet(): void {
    if (this.upper.held > 0 || this.lending.size > 0 || this.arrivals.size > 0) return;
    for (const go of this.waiters.splice(0)) go();
  }
}
