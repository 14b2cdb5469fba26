import type { BlockMeta, SealedBlock } from '../../src/core/block.js';
import { agrees } from '../../src/core/kv-distance.js';
import { blockBytes } from '../../src/core/kv-layout.js';
import { type Reservation, reservation } from '../../src/core/reservation.js';
import type { Device, DeviceBlock } from '../../src/device/device.js';
import type { PrefixCache, PrefixRequest, PreparedPrefix } from '../../src/engine/prefix-cache.js';
import type { BlockStore } from '../cache/block-store.js';
import type { PinnedDeviceBlock } from '../cache/pinned-device-block.js';
import type { AuditedBlocks } from './audited-blocks.js';

/** Compares the blocks of one prompt, as the engine recomputes them, with the blocks under audit. */

/** A copy of a block under audit; its bytes do not change until `unpin`. */
export interface Exhibit {
  readonly block: SealedBlock;
  readonly bytes: Uint8Array;
  unpin(): void;
}

/** The copies under audit. */
export interface Exhibits {
  /** Whether there may be copies of the block. */
  has(meta: BlockMeta): boolean;
  of(meta: BlockMeta): Promise<readonly Exhibit[]>;
}

export interface Judgement {
  readonly block: SealedBlock;
  readonly right: boolean;
}

export interface RecomputationOptions {
  readonly store: BlockStore;
  readonly device: Device;
  readonly audited: AuditedBlocks;
  readonly exhibits: Exhibits;
}

/**
 * The cache of an engine run without a client. It lets the run begin after the blocks that are known to be right, and never gives it a block
 * under audit. Each block that the run computes goes to separate memory, is compared, and is freed.
 */
export class Recomputation implements PrefixCache {
  /** In the order in which the run computed them. */
  readonly judgements: Judgement[] = [];
  private readonly comparing = new Set<Promise<void>>();

  constructor(private readonly options: RecomputationOptions) {}

  async prepare({ blocks }: PrefixRequest): Promise<PreparedPrefix> {
    const pinned = this.pinAudited(blocks);
    return {
      blocks: pinned.map(({ block }) => block),
      localBlocks: pinned.length,
      remoteBlocks: 0,
      claim: () => true,
      unpin: () => {
        for (const { unpin } of pinned) unpin();
      },
      settle: () => {},
    };
  }

  reserve(meta: BlockMeta): Reservation<DeviceBlock> | null {
    const { store, device, exhibits } = this.options;
    const memory = exhibits.has(meta) ? store.scratch() : null;
    if (memory === null) return null;
    return reservation(meta.key, memory, {
      commit: () => {
        const comparison = this.judge(meta, memory).finally(() => {
          device.freeBlock(memory);
          this.comparing.delete(comparison);
        });
        this.comparing.add(comparison);
      },
      abort: () => device.freeBlock(memory),
    });
  }

  /** Resolves when all comparisons have been made. Rejects if one failed. */
  async done(): Promise<void> {
    const outcomes = await Promise.allSettled(this.comparing);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  private pinAudited(blocks: readonly BlockMeta[]): PinnedDeviceBlock[] {
    const { store, audited } = this.options;
    const pinned: PinnedDeviceBlock[] = [];
    for (const { key } of blocks) {
      const sealed = store.sealed(key);
      const pin = sealed !== null && audited.has(sealed) ? store.pinOnDevice(key) : null;
      if (pin === null) break;
      pinned.push(pin);
    }
    return pinned;
  }

  private async judge(meta: BlockMeta, reference: DeviceBlock): Promise<void> {
    const { device, exhibits, store, audited } = this.options;
    const copies = await exhibits.of(meta);
    try {
      const bytes = await this.bytesOf(reference);
      for (const { block, bytes: judged } of copies) {
        const right = agrees(device.layout, bytes, judged);
        this.judgements.push({ block, right });
        // At once, so that the result survives a later interruption of the run.
        if (right && store.has(block.key) && store.sealed(block.key)?.digest === block.digest) audited.add(block);
      }
    } finally {
      for (const { unpin } of copies) unpin();
    }
  }

  private async bytesOf(block: DeviceBlock): Promise<Uint8Array> {
    const { device } = this.options;
    const view = device.view(block);
    if (view) return view;
    const bytes = new Uint8Array(blockBytes(device.layout));
    await device.download(block, bytes);
    return bytes;
  }
}
