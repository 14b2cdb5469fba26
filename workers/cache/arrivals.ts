import { OneTimeEvent } from '../../src/async/event.js';
import type { BlockKey, BlockMeta } from '../../src/core/block.js';
import { type NoReservation, type Reservation, reservation } from '../../src/core/reservation.js';
import type { Device, DeviceBlock } from '../../src/device/device.js';
import type { DeviceTier } from './device-tier.js';

/** Blocks that have memory on the device and no bytes yet: one reservation at a time of each key. */
export class Arrivals {
  /** Set when the block is no longer incoming. */
  private readonly events = new Map<BlockKey, OneTimeEvent>();
  /** Counts resets: a block reserved before one is not kept after it. */
  private resets = 0;

  constructor(
    private readonly device: Device,
    private readonly tier: DeviceTier,
    private readonly onEnd: () => void,
  ) {}

  get size(): number {
    return this.events.size;
  }

  has(key: BlockKey): boolean {
    return this.events.has(key);
  }

  /** Resolves when the block is no longer incoming, whether or not it arrived. Rejects with `Cancelled` if the signal comes first. */
  async settled(key: BlockKey, signal: AbortSignal): Promise<void> {
    await this.events.get(key)?.wait(signal);
  }

  /** Incoming blocks are no longer wanted. */
  reset(): void {
    this.resets++;
  }

  /**
   * Reserves memory for a block; evicts for it unless `mayEvict` is false, but never the block's parent. `commit` says whether the block is still wanted: if so, the caller
   * puts it into the tier; if not, its memory is free again.
   */
  reserve({ key, parent }: BlockMeta, mayEvict = true): Reservation<DeviceBlock, boolean> | NoReservation {
    if (this.tier.has(key) || this.has(key)) return 'present';
    const block = this.tier.allocate(parent, mayEvict);
    if (!block) return 'full';
    const event = new OneTimeEvent();
    this.events.set(key, event);
    const { resets } = this;
    const end = () => {
      this.events.delete(key);
      event.set();
      this.onEnd();
    };
    return reservation(key, block, {
      commit: () => {
        end();
        if (resets === this.resets) return true;
        this.device.freeBlock(block);
        return false;
      },
      abort: () => {
        end();
        this.device.freeBlock(block);
      },
    });
  }
}
