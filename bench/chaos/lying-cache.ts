import type { BlockMeta } from '../../src/core/block.js';
import type { Maker } from '../../src/core/maker.js';
import type { Device } from '../../src/device/device.js';
import { BlockStore } from '../../workers/cache/block-store.js';

/**
 * Preloaded into the processes of a fleet (`node --import`): the worker with the id in CHAOS_LIAR keeps other K/V than it computes, under the right
 * keys and with digests that match, and gives it to its peers. The bytes are its prompt's in another order, so that each number is
 * plausible.
 */
const { reserve } = BlockStore.prototype;

/** The parts of a store that it does not show. */
interface Inside {
  readonly device: Device;
  readonly options: { readonly self: Maker };
}

BlockStore.prototype.reserve = function (meta: BlockMeta) {
  const { device, options } = this as unknown as Inside;
  const reserved = reserve.call(this, meta);
  if (reserved === null || options.self.id !== process.env.CHAOS_LIAR) return reserved;
  const commit = () => {
    const bytes = device.view(reserved.memory);
    bytes?.copyWithin(0, bytes.byteLength / 2);
    reserved.commit();
  };
  return { ...reserved, commit };
};
