import type { PinnedBlock } from '../../src/core/block.js';
import { PeerClient, type PeerClientOptions } from '../../src/peer/client/peer-client.js';
import type { BlockHost } from '../../src/peer/server/block-host.js';

/** Whether the blocks that a worker gives to peers have a wrong byte: a fault that an operator asked for. The worker's own blocks stay right. */
export class Corruption {
  active = false;

  /** The worker's blocks as peers see them. */
  host(host: BlockHost): BlockHost {
    return {
      pin: this.spoiling((key) => host.pin(key)),
      // Shared memory has the right bytes.
      isShared: (key) => !this.active && host.isShared(key),
      admit: (block, admission, from) => host.admit(block, admission, from),
    };
  }

  spoiling(pin: BlockHost['pin']): BlockHost['pin'] {
    return async (key) => {
      const pinned = await pin(key);
      return pinned === null || !this.active ? pinned : spoilt(pinned);
    };
  }
}

/** Peers that are pushed wrong bytes while the corruption is active. */
export class SpoilingClient extends PeerClient {
  constructor(
    options: PeerClientOptions,
    private readonly corruption: Corruption,
  ) {
    super(options);
  }

  override push(...[to, blocks, pin, signal, type]: Parameters<PeerClient['push']>): ReturnType<PeerClient['push']> {
    return super.push(to, blocks, this.corruption.spoiling(pin), signal, type);
  }
}

function spoilt(pinned: PinnedBlock): PinnedBlock {
  const bytes = pinned.bytes.slice();
  pinned.unpin();
  bytes[bytes.byteLength >> 1]! ^= 1;
  return { block: pinned.block, bytes, shared: null, unpin: () => {} };
}
