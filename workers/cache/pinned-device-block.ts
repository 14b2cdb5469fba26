import type { BlockMeta } from '../../src/core/block.js';
import type { DeviceBlock } from '../../src/device/device.js';

/** A block on the device that stays where it is until `unpin`. */
export interface PinnedDeviceBlock {
  readonly meta: BlockMeta;
  readonly block: DeviceBlock;
  /** The block came from a peer, and no sequence of this worker has used it yet. */
  readonly foreign: boolean;
  unpin(): void;
}
