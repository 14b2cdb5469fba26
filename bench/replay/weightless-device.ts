import type { KvLayout } from '../../src/core/kv-layout.js';
import type { Device, DeviceBlock, DeviceCopies, DeviceMemory } from '../../src/device/device.js';
import { InternalError } from '../../src/errors.js';

/** A device whose blocks have no bytes: a replay counts blocks, and computes nothing. */

const NO_BYTES = new Uint8Array(0);
const NO_COPIES: DeviceCopies = { h2d: 0, d2h: 0, d2d: 0 };

/** Gives as many blocks as it has capacity for. It has no slots. */
export class WeightlessDevice implements Device {
  readonly kind = 'cpu';
  readonly longestRunTokens = Number.POSITIVE_INFINITY;
  readonly slots = 0;
  readonly prefillRow = null;
  readonly loosePlace = 'cpu';
  private blocks = 0;
  private ids = 0;

  constructor(
    readonly layout: KvLayout,
    private readonly capacityBlocks: number,
  ) {}

  allocateBlock(): DeviceBlock | null {
    if (this.blocks >= this.capacityBlocks) return null;
    this.blocks++;
    return { id: this.ids++ };
  }

  freeBlock(): void {
    this.blocks--;
  }

  view(): Uint8Array {
    return NO_BYTES;
  }

  sharedPlace(): null {
    return null;
  }

  async upload(): Promise<void> {}

  async download(): Promise<void> {}

  memory(): DeviceMemory {
    const { blocks, capacityBlocks } = this;
    return { blockBytes: 0, blockBudgetBytes: 0, sequenceBytes: 0, blocks, capacityBlocks };
  }

  copies(): DeviceCopies {
    return NO_COPIES;
  }

  countRun(): void {}

  close(): void {}

  cut(): never {
    throw noSlots();
  }

  join(): never {
    throw noSlots();
  }

  slot(): never {
    throw noSlots();
  }

  rows(): never {
    throw noSlots();
  }

  moveRow(): never {
    throw noSlots();
  }

  looseSlot(): never {
    throw noSlots();
  }

  looseTensors(): never {
    throw noSlots();
  }
}

function noSlots(): InternalError {
  return new InternalError('a device without bytes has no slots');
}
