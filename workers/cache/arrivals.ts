import { OneTimeEvent } from '../../src/async/event.js';
import type { BlockKey, BlockMeta } from '../../src/core/block.js';
import type { Device, DeviceBlock } from '../../src/device/device.js';
import { InternalError } from '../../src/errors.js';
import type { DeviceTier } from './device-tier.js';

/** Why there is no memory for a block: it is here or on its way, or all that is here is in use or needed by it. */
export type NoPlace = 'held' | 'full';

/** Memory of the device for a block that is on its way. */
export interface Arriving {
  readonly meta: BlockMeta;
  readonly block: DeviceBlock;
  /** Says that it is decided what becomes of it. Throws `InternalError` the second time. */
  settle(): void;
  /** Ends the way: the block is here, unless it is not wanted any more; says whether it is. */
  land(): boolean;
  /** Ends the way, and gives the memory back. */
  giveUp(): void;
}

/** Blocks that have memory on the device and no bytes yet. One at a time of each key. */
export class Arrivals {
  /** Opens when the block is on its way no more. */
  private readonly events = new Map<BlockKey, OneTimeEvent>();
  /** Counts resets: what was on its way before one is not taken after it. */
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

  /** Resolves when the block is not on its way any more, whether or not it is here then. Rejects with `Cancelled` if the signal comes first. */
  async settled(key: BlockKey, signal: AbortSignal): Promise<void> {
    await this.events.get(key)?.wait(signal);
  }

  /** What is on its way now is not wanted any more. */
  reset(): void {
    this.resets++;
  }

  /** Takes memory for a block, evicting what is least worth keeping, but never the block's parent. */
  begin(meta: BlockMeta): Arriving | NoPlace {
    const { key, parent } = meta;
    if (this.tier.has(key) || this.has(key)) return 'held';
    const block = this.tier.allocate(parent);
    if (!block) return 'full';
    const event = new OneTimeEvent();
    this.events.set(key, event);
    const { resets } = this;
    let open = true;
    const end = () => {
      this.events.delete(key);
      event.set();
      this.onEnd();
    };
    return {
      meta,
      block,
      settle: () => {
        if (!open) throw new InternalError(`place of block ${key} was already given back or filled`);
        open = false;
      },
      land: () => {
        end();
        if (resets === this.resets) return true;
        this.device.freeBlock(block);
        return false;
      },
      giveUp: () => {
        end();
        this.device.freeBlock(block);
      },
    };
  }
}
