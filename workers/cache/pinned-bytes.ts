import type { BlockKey, PinnedBlock } from '../../src/core/block.js';
import type { Pin } from '../../src/core/residency.js';
import type { Device } from '../../src/device/device.js';
import type { DeviceResident, DeviceTier } from './device-tier.js';
import type { LowerTiers } from './lower-tiers.js';
import type { StagingBuffer } from './staging.js';
import { inMemory } from './tier.js';

/** Pins the bytes of blocks in host memory: in place, or as a copy. */

export interface PinnedBytesOwner {
  /** A block is unpinned. `down`: the pin does not count as a use, because the block was being demoted or could not be read. */
  unpinned(how: 'used' | 'down'): void;
  /** The bytes of a block could not be copied. */
  failed(error: unknown): void;
}

/** Why bytes are pinned: another worker reads them to use them, or keeps a copy of them. */
export type PinPurpose = 'read' | 'copy';

/** Pins the bytes of blocks: in place where they are in host memory, else a copy. If the copy fails, that is reported, and the pin is null. */
export class PinnedBytes {
  private open = 0;

  constructor(
    private readonly device: Device,
    private readonly upper: DeviceTier,
    private readonly lower: LowerTiers,
    private readonly on: PinnedBytesOwner,
  ) {}

  /** Pins that are open or being made. */
  get size(): number {
    return this.open;
  }

  /**
   * From any tier; null if none has the block.
   * @param purpose `read` hands the block on to the worker that reads it
   */
  pin(key: BlockKey, purpose: PinPurpose): Promise<PinnedBlock | null> {
    if (purpose === 'read') this.upper.handOn(key);
    return this.counted('used', async () => (await this.fromDevice(key)) ?? (await this.fromLower(key)));
  }

  /** From the device alone, to be copied to a lower tier. Does not count as a use of the block. */
  pinToDemote(key: BlockKey): Promise<PinnedBlock | null> {
    return this.counted('down', () => this.fromDevice(key));
  }

  private async fromDevice(key: BlockKey): Promise<PinnedBlock | null> {
    const pin = this.upper.pin(key);
    if (!pin) return null;
    const { sealed: block, block: memory } = pin.value;
    // Before it has a digest, the block is for this worker's sequences alone.
    const bytes = block && this.device.view(memory);
    if (bytes) return { block, bytes, shared: this.device.sharedPlace(memory), unpin: pin.unpin };
    try {
      return await this.download(pin);
    } finally {
      pin.unpin();
    }
  }

  private async download({
    value: { sealed: block, block: memory },
  }: Pin<DeviceResident>): Promise<PinnedBlock | null> {
    if (!block) return null;
    const inPlace = this.inLowerMemory(block.key);
    if (inPlace) return inPlace;
    let buffer: StagingBuffer | null = null;
    try {
      buffer = await this.lower.outbox();
      await this.device.download(memory, buffer.bytes);
      return { block, bytes: buffer.bytes, shared: null, unpin: buffer.release };
    } catch (error) {
      buffer?.release();
      this.on.failed(error);
      return null;
    }
  }

  /** Rejects with `Unavailable` where there is no memory for a copy. */
  private async fromLower(key: BlockKey): Promise<PinnedBlock | null> {
    const inPlace = this.inLowerMemory(key);
    if (inPlace) return inPlace;
    const tier = this.lower.tierOf(key);
    const block = tier?.sealed(key);
    if (!tier || !block) return null;
    const { bytes, release } = await this.lower.outbox();
    // Not shared: a peer that reads in place may pin many blocks, and the few buffers would wait for it.
    if (await tier.read(key, bytes)) return { block, bytes, shared: null, unpin: release };
    release();
    return null;
  }

  private inLowerMemory(key: BlockKey): PinnedBlock | null {
    const tier = this.lower.tierOf(key);
    const pin = tier?.pin(key) ?? null;
    if (tier && inMemory(pin)) {
      tier.touch(key);
      return pin;
    }
    pin?.unpin();
    return null;
  }

  /** Counts a pin from the moment that it is asked for: reading the block may take long, and its memory is in use meanwhile. */
  private async counted(how: 'used' | 'down', find: () => Promise<PinnedBlock | null>): Promise<PinnedBlock | null> {
    this.open++;
    let pinned: PinnedBlock | null = null;
    let open = true;
    const unpin = () => {
      if (!open) return;
      open = false;
      this.open--;
      pinned?.unpin();
      this.on.unpinned(pinned ? how : 'down');
    };
    try {
      pinned = await find();
    } catch (error) {
      this.on.failed(error);
    }
    if (pinned) return { ...pinned, unpin };
    unpin();
    return null;
  }
}
