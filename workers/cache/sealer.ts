import type { SealedBlock } from '../../src/core/block.js';
import type { Device } from '../../src/device/device.js';
import { digestOf } from '../../src/digest.js';
import type { DeviceResident } from './device-tier.js';
import type { LowerTiers, Passage } from './lower-tiers.js';
import type { Held } from './residents.js';

export interface SealerOwner {
  /** Takes the digest down. False if the block is not wanted any more. */
  sealed(resident: DeviceResident, block: SealedBlock): boolean;
  failed(resident: DeviceResident, error: unknown): void;
  /** The block is let go of. */
  released(): void;
}

/**
 * Takes the digests of computed blocks on a device that has memory of its own: off the reply path, one after another, over bytes that are then
 * kept in the tier below, so that they are downloaded once.
 */
export class Sealer {
  private work: Promise<void> = Promise.resolve();

  constructor(
    private readonly device: Device,
    private readonly lower: LowerTiers,
    private readonly owner: SealerOwner,
  ) {}

  /** Lets go of the block when its digest is taken. */
  add(held: Held<DeviceResident>): void {
    this.work = this.work.then(() => this.seal(held));
  }

  /** Resolves when no digest is to be taken. */
  async idle(): Promise<void> {
    await this.work;
  }

  private async seal({ value, release }: Held<DeviceResident>): Promise<void> {
    const { meta, block } = value;
    let passage: Passage | null = null;
    try {
      passage = await this.lower.passageOut(meta);
      await this.device.download(block, passage.bytes);
      const sealed = { ...meta, digest: digestOf(passage.bytes) };
      if (this.owner.sealed(value, sealed)) passage.keep(sealed);
      else passage.drop();
    } catch (error) {
      passage?.drop();
      this.owner.failed(value, error);
    } finally {
      release();
      this.owner.released();
    }
  }
}
