import type { BlockMeta, SealedBlock } from '../../src/core/block.js';
import type { Reservation } from '../../src/core/reservation.js';
import type { Device, DeviceBlock } from '../../src/device/device.js';
import type { Announced, BlockOrigin } from '../announced.js';
import type { Demoter } from './demoter.js';
import type { DeviceResident, DeviceTier } from './device-tier.js';
import type { Sealer } from './sealer.js';
import type { HostReservation } from './tier.js';

/** The last step of a block's move to the device: it becomes usable, and is announced. */

/** Device memory for an incoming block. */
type Arriving = Reservation<DeviceBlock, boolean>;

/** Puts blocks that have arrived into the device's tier. */
export class Landing {
  constructor(
    private readonly device: Device,
    private readonly upper: DeviceTier,
    private readonly announced: Announced,
    private readonly sealer: Sealer,
    private readonly demoter: Demoter | null,
  ) {}

  /** The block is on the device, with its digest. False if it is not wanted any more. */
  land(arriving: Arriving, sealed: SealedBlock, origin: BlockOrigin): boolean {
    if (!arriving.commit()) return false;
    const foreign = origin === 'fetched' || origin === 'pushed';
    this.upper.insert({ meta: sealed, block: arriving.memory, sealed, foreign });
    this.announced.usable(sealed.key);
    this.announced.added(sealed, origin);
    this.demoter?.came(sealed.key);
    return true;
  }

  /** The block is on the device, whose memory the host cannot read. */
  landUnsealed(arriving: Arriving, meta: BlockMeta): void {
    if (!arriving.commit()) return;
    this.upper.insert({ meta, block: arriving.memory, sealed: null, foreign: false });
    this.announced.usable(meta.key);
    this.sealer.add(this.upper.pin(meta.key)!);
  }

  /** The digest of an unsealed block is known. False if the block is not wanted any more. */
  sealedLater(resident: DeviceResident, block: SealedBlock): boolean {
    if (this.upper.get(block.key) !== resident) return false;
    resident.sealed = block;
    this.announced.added(block, 'computed');
    this.demoter?.came(block.key);
    return true;
  }

  /** `copy` is the host memory that the bytes are in. Rejects where the device fails to take them. */
  async upload(arriving: Arriving, copy: HostReservation, sealed: SealedBlock, origin: BlockOrigin): Promise<void> {
    try {
      await this.device.upload(arriving.memory, copy.memory);
    } catch (error) {
      copy.abort();
      arriving.abort();
      throw error;
    }
    if (this.land(arriving, sealed, origin)) copy.commit(sealed);
    else copy.abort();
  }
}
