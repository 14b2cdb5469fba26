import type { BlockKey } from '../src/core/block.js';
import type { Device } from '../src/device/device.js';
import type { LentBlock } from '../src/peer/block-host.js';
import type { DeviceResident, DeviceTier } from './device-tier.js';
import type { LowerTiers } from './lower-tiers.js';
import type { Held } from './residents.js';

export interface LendingOwner {
  /** A block is read no more by whoever borrowed it; `down` where that was to copy it to another tier. */
  returned(how: 'used' | 'down'): void;
  failed(error: unknown): void;
}

/** Lends the bytes of blocks: in place where they are in memory, else a copy. */
export class Lending {
  private open = 0;

  constructor(
    private readonly device: Device,
    private readonly upper: DeviceTier,
    private readonly lower: LowerTiers,
    private readonly on: LendingOwner,
  ) {}

  /** Blocks that are lent, each as often as it is. */
  get size(): number {
    return this.open;
  }

  /** From whatever tier. Counts as a use of the block. */
  async lend(key: BlockKey): Promise<LentBlock | null> {
    this.upper.touch(key);
    return this.counted((await this.fromDevice(key)) ?? (await this.lower.lend(key)), 'used');
  }

  /** From the device alone, to be copied to another tier, which is no use of the block. */
  async lendDown(key: BlockKey): Promise<LentBlock | null> {
    return this.counted(await this.fromDevice(key), 'down');
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
      this.on.returned('down');
    }
  }

  private async download({ value: { sealed: block, block: memory } }: Held<DeviceResident>): Promise<LentBlock | null> {
    if (!block) return null;
    const viewed = this.lower.view(block.key);
    if (viewed) return viewed;
    const buffer = await this.lower.outbox();
    try {
      await this.device.download(memory, buffer.bytes);
      return { block, ...buffer, shared: null };
    } catch (error) {
      buffer.release();
      this.on.failed(error);
      return null;
    }
  }

  private counted(lent: LentBlock | null, how: 'used' | 'down'): LentBlock | null {
    if (!lent) return null;
    this.open++;
    let open = true;
    const release = () => {
      if (!open) return;
      open = false;
      this.open--;
      lent.release();
      this.on.returned(how);
    };
    return { ...lent, release };
  }
}
