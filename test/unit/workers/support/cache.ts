import { type Clock, SystemClock } from '../../../../src/clock.js';
import type { BlockKey, BlockMeta, BlockRole, SealedBlock } from '../../../../src/core/block.js';
import { blockKeys, rootSeed } from '../../../../src/core/key.js';
import { blockBytes, type KvLayout } from '../../../../src/core/kv-layout.js';
import type { Maker } from '../../../../src/core/maker.js';
import type { Reservation } from '../../../../src/core/reservation.js';
import { CpuDevice } from '../../../../src/device/cpu/cpu-device.js';
import type { DeviceBlock } from '../../../../src/device/device.js';
import { digestOf } from '../../../../src/digest.js';
import { SILENT_LOG } from '../../../../src/log.js';
import { OrtRuntime } from '../../../../src/ort/runtime.js';
import { PacedLog } from '../../../../src/paced-log.js';
import type { BlockOrigin } from '../../../../workers/announced.js';
import { HEADER_BYTES } from '../../../../workers/cache/block-file.js';
import type { BlockFiles } from '../../../../workers/cache/block-folder.js';
import { BlockStore } from '../../../../workers/cache/block-store.js';
import { LowerTiers } from '../../../../workers/cache/lower-tiers.js';
import { STAGING_BYTES } from '../../../../workers/cache/tiered-cache.js';
import { Promoter } from '../../../../workers/prefix/promoter.js';
import { FINGERPRINT } from '../../../support/announcement.js';
import { RemoteDevice } from '../../../support/remote-device.js';

export const LAYOUT: KvLayout = { layers: 1, kvHeads: 1, headDim: 4, blockTokens: 4, elementType: 'float32' };
export const BLOCK_BYTES = blockBytes(LAYOUT);

/** The blocks of a prompt of no meaning, the same for the same name. */
export function chain(name: string, blocks: number): BlockMeta[] {
  const tokens = Uint32Array.from({ length: blocks * LAYOUT.blockTokens }, (_, i) => i);
  return blockKeys(tokens, rootSeed({ fingerprint: FINGERPRINT, adapter: '', salt: name }), LAYOUT.blockTokens);
}

export interface CacheOptions {
  /** `remote`: a device whose blocks the host cannot see. */
  readonly device?: 'viewed' | 'remote';
  readonly hostBlocks?: number;
  /** Blocks that may be on their way in, and out, at a time. */
  readonly stagingBlocks?: number;
  /** A disk tier over these files, with room for so many. */
  readonly disk?: { readonly files: BlockFiles; readonly blocks: number; readonly fingerprint?: string };
  readonly clock?: Clock;
}

/** A store over a real device that has room for so many blocks. `close` says what it left behind. */
export class Cache {
  readonly runtime = OrtRuntime.open();
  /** Reads and writes of its blocks that nobody counts. */
  readonly memory: CpuDevice;
  readonly device: CpuDevice | RemoteDevice;
  readonly lower: LowerTiers;
  readonly store: BlockStore;
  readonly promoter: Promoter;
  /** What listeners were told: what is here, and how each block came and went. */
  readonly told = new Set<BlockKey>();
  readonly events: string[] = [];
  /** Files that were not what they should be, and copies that failed. */
  damages = 0;
  computeMsPerToken = 1_000;
  readonly failures: unknown[] = [];
  role: BlockRole = 'guest';
  /** What was last said of each block. */
  readonly roles = new Map<BlockKey, BlockRole>();
  private readonly roleOf = ({ key }: BlockMeta) => {
    this.roles.set(key, this.role);
    return this.role;
  };

  constructor(
    readonly budgetBlocks: number,
    options: CacheOptions = {},
  ) {
    // A device takes whole slabs; the budget is in bytes and need not be whole blocks.
    const blockBudgetBytes = budgetBlocks * BLOCK_BYTES + BLOCK_BYTES - 1;
    const { runtime } = this;
    this.memory = new CpuDevice({ runtime, layout: LAYOUT, blockBudgetBytes, slots: 1, capacityTokens: 8 });
    this.device = options.device === 'remote' ? new RemoteDevice(this.memory) : this.memory;
    const { disk, hostBlocks = 0, stagingBlocks, clock = new SystemClock() } = options;
    this.lower = new LowerTiers({
      runtime,
      blockBytes: BLOCK_BYTES,
      stagingBytes: stagingBlocks === undefined ? STAGING_BYTES : stagingBlocks * BLOCK_BYTES,
      hostBudgetBytes: hostBlocks * BLOCK_BYTES,
      disk: disk
        ? {
            files: disk.files,
            budgetBytes: disk.blocks * (HEADER_BYTES + BLOCK_BYTES),
            fingerprint: disk.fingerprint ?? FINGERPRINT,
            secret: 'k'.repeat(16),
          }
        : null,
      roleOf: this.roleOf,
      clock,
      log: new PacedLog(SILENT_LOG, clock),
      computeMsPerBlock: () => null,
      onAnswers: () => {},
      onDamage: () => this.damages++,
    });
    this.store = new BlockStore({
      self: SELF,
      device: this.device,
      lower: this.lower,
      roleOf: this.roleOf,
      onFailed: (error) => this.failures.push(error),
    });
    this.promoter = new Promoter({
      store: this.store,
      lower: this.lower,
      clock,
      blockTokens: LAYOUT.blockTokens,
      blockBytes: BLOCK_BYTES,
      computeMsPerToken: () => this.computeMsPerToken,
      onFailed: (error) => this.failures.push(error),
    });
    this.store.listen({
      added: ({ key }, origin) => {
        if (this.told.has(key)) throw new Error(`${key} was told to be added twice`);
        this.told.add(key);
        this.events.push(`+${origin}`);
        this.check();
      },
      removed: (key, reason) => {
        if (!this.told.delete(key)) throw new Error(`${key} was told to be removed, and was not here`);
        this.events.push(`-${reason}`);
      },
      usable: () => this.check(),
      left: () => this.check(),
    });
  }

  /** Throws if a tier is over its budget. */
  check(): void {
    for (const { tier, bytes, budgetBytes } of this.store.tiers) {
      if (bytes > budgetBytes) throw new Error(`the ${tier} tier has ${bytes} bytes of ${budgetBytes}`);
    }
  }

  /** Puts blocks in that are full of their keys' own bytes. On a viewed device they are there at once. */
  fill(blocks: readonly BlockMeta[], origin: BlockOrigin = 'computed'): SealedBlock[] {
    return blocks.map((meta) => {
      const { sealed, reserved } = this.write(meta, origin);
      void reserved.commit();
      return sealed;
    });
  }

  /** The same on any device, one after another. */
  async bring(blocks: readonly BlockMeta[], origin: BlockOrigin = 'fetched'): Promise<SealedBlock[]> {
    const brought: SealedBlock[] = [];
    for (const meta of blocks) {
      const { sealed, reserved } = this.write(meta, origin);
      await reserved.commit();
      brought.push(sealed);
    }
    return brought;
  }

  /** Computes blocks as an engine does; gives those for which there was room. They are sealed when the store is idle. */
  compute(blocks: readonly BlockMeta[]): BlockMeta[] {
    return blocks.filter((meta) => {
      const reserved = this.store.reserve(meta);
      if (reserved === null) return false;
      this.bytes(reserved.memory).fill(markOf(meta.key));
      reserved.commit();
      return true;
    });
  }

  /** The bytes of a block of the device, as only a test sees them. */
  bytes(block: DeviceBlock): Uint8Array {
    return this.memory.view(block);
  }

  /** How many of the blocks are on the device, from the first. */
  run(blocks: readonly BlockMeta[]): number {
    const gap = blocks.findIndex(({ key }) => !this.store.has(key));
    return gap === -1 ? blocks.length : gap;
  }

  /** For a cache without lower tiers on a viewed device. */
  close(): string[] {
    const left = this.leftAfterReset();
    if (left.length > 0) return left;
    void this.store.close();
    this.device.close();
    this.runtime.release();
    return [];
  }

  /** For any: what is on disk stays there. */
  async end(): Promise<string[]> {
    await this.store.idle();
    await this.store.close();
    const { blocks } = this.device.memory();
    if (blocks > 0) return [`${blocks} blocks in use`];
    this.device.close();
    this.runtime.release();
    return [];
  }

  private leftAfterReset(): string[] {
    this.store.reset();
    const { blocks } = this.device.memory();
    return blocks > 0 ? [`${blocks} blocks in use`] : [];
  }

  private write(
    meta: BlockMeta,
    origin: BlockOrigin,
  ): { sealed: SealedBlock; reserved: Reservation<Uint8Array, Promise<void>> } {
    const sealed = sealedOf(meta);
    const reserved = this.store.reserveBytes(sealed, origin);
    if (typeof reserved === 'string') throw new Error(`no memory for block ${meta.index}: ${reserved}`);
    reserved.memory.fill(markOf(meta.key));
    return { sealed, reserved };
  }
}

/** Makes the blocks of these tests. */
export const SELF: Maker = { id: 'self', incarnation: '1' };

/** The block as it is when it is full of its key's own bytes. */
export function sealedOf(meta: BlockMeta): SealedBlock {
  return { ...meta, digest: digestOf(new Uint8Array(BLOCK_BYTES).fill(markOf(meta.key))), maker: SELF };
}

export function markOf(key: BlockKey): number {
  return Number.parseInt(key.slice(0, 2), 16);
}
