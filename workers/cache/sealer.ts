import { IdleCondition } from '../../src/async/idle.js';
import { Mutex } from '../../src/async/mutex.js';
import type { SealedBlock } from '../../src/core/block.js';
import type { Maker } from '../../src/core/maker.js';
import type { Pin } from '../../src/core/residency.js';
import type { Device } from '../../src/device/device.js';
import { digestOf } from '../../src/digest.js';
import type { DeviceResident } from './device-tier.js';
import type { LowerTiers } from './lower-tiers.js';
import type { HostReservation } from './tier.js';

/** Takes the digests of computed blocks on a device whose memory the host cannot read. */

export interface SealerOwner {
  /** Records the digest. False if the block is not wanted any more. */
  sealed(resident: DeviceResident, block: SealedBlock): boolean;
  failed(resident: DeviceResident, error: unknown): void;
  /** The block is unpinned. */
  unpinned(): void;
}

/**
 * Takes the digests of computed blocks on a device that has separate memory: off the reply path, one after another. The tier below keeps the
 * downloaded bytes, so that they are downloaded once.
 */
export class Sealer {
  private readonly turns = new Mutex();
  private pending = 0;
  private readonly idleCondition = new IdleCondition(() => this.pending === 0);

  constructor(
    private readonly device: Device,
    private readonly lower: LowerTiers,
    private readonly self: Maker,
    private readonly owner: SealerOwner,
  ) {}

  /** Unpins the block when its digest is taken. */
  add(pin: Pin<DeviceResident>): void {
    this.pending++;
    void this.turns.run(() => this.seal(pin));
  }

  /** Resolves when no digest is outstanding. */
  idle(): Promise<void> {
    return this.idleCondition.wait();
  }

  private async seal({ value, unpin }: Pin<DeviceResident>): Promise<void> {
    const { meta, block } = value;
    let copy: HostReservation | null = null;
    try {
      copy = await this.lower.reserveOut(meta);
      await this.device.download(block, copy.memory);
      const sealed = { ...meta, digest: digestOf(copy.memory), maker: this.self };
      if (this.owner.sealed(value, sealed)) copy.commit(sealed);
      else copy.abort();
    } catch (error) {
      copy?.abort();
      this.owner.failed(value, error);
    } finally {
      unpin();
      this.owner.unpinned();
      this.pending--;
      this.idleCondition.notify();
    }
  }
}
