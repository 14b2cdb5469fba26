import type { BlockKey, LentBlock } from '../../src/core/block.js';
import type { Device } from '../../src/device/device.js';
import type { DeviceResident, DeviceTier } from './device-tier.js';
import type { LowerTiers } from './lower-tiers.js';
import type { Held } from './residents.js';
import type { StagingBuffer } from './staging.js';

export interface LendingOwner {
  /** A block is read no more by whoever asked for it; `down` where that was no use of it: it was to be copied to another tier, or not to be had. */
  returned(how: 'used' | 'down'): void;
  /** The bytes of a block could not be copied. */
  failed(error: unknown): void;
}

/** Lends the bytes of blocks: in place where they are in memory, else a copy. What cannot be copied is told as failed, and is not to be had. */
export class Lending {
  private open = 0;

  constructor(
    private readonly device: Device,
    private readonly upper: DeviceTier,
    private readonly lower: LowerTiers,
    private readonly on: LendingOwner,
  ) {}

  /** Blocks that are lent, or looked for to be so, each as often as it is. */
  get size(): number {
    return this.open;
  }

  /** From whatever tier. Counts as a use of the block. */
  lend(key: BlockKey): Promise<LentBlock | null> {
    this.upper.touch(key);
    return this.counted('used', async () => (await this.fromDevice(key)) ?? (await this.lower.lend(key)));
  }

  /** From the device alone, to be copied to another tier, which is no use of the block. */
  lendDown(key: BlockKey): Promise<LentBlock | null> {
    return this.counted('down', () => this.fromDevice(key));
  }

  private async fromDevice(key: BlockKey): Promise<LentBlock | null> {
    const held = this.upper.hold(key);
    if (!held) return null;
    const { sealed: block, block: memory } = held.value;
    // Before it has a digest it is nobody else's.
    const bytes = block && this.device.view(memory);
    if (bytes) return { block, bytes, shared: this.device.sharedPlace(memory), release: held.release };
    try {
      return await this.download(held);
    } finally {
      held.release();
    }
  }

  private async download({ value: { sealed: block, block: memory } }: Held<DeviceResident>): Promise<LentBlock | null> {
    if (!block) return null;
    const viewed = this.lower.view(block.key);
    if (viewed) return viewed;
    let buffer: StagingBuffer | null = null;
    try {
      buffer = await this.lower.outbox();
      await this.device.download(memory, buffer.bytes);
      return { block, bytes: buffer.bytes, shared: null, release: buffer.release };
    } catch (error) {
      buffer?.release();
      this.on.failed(error);
      return null;
    }
  }

  /** Counts a block from the moment that it is asked for: reading it may take long, and its memory is in use meanwhile. */
  private async counted(how: 'used' | 'down', find: () => Promise<LentBlock | null>): Promise<LentBlock | null> {
    this.open++;
    let lent: LentBlock | null = null;
    let open = true;
    const release = () => {
      if (!open) return;
      open = false;
      this.open--;
      lent?.release();
      this.on.returned(lent ? how : 'down');
    };
    try {
      lent = await find();
    } catch (error) {
      this.on.failed(error);
    }
    if (lent) return { ...lent, release };
    release();
    return null;
  }
}
