import type { SharedPlace } from '../src/core/shared-place.js';
import type { BlockPool } from '../src/device/block-pool.js';
import { InternalError } from '../src/errors.js';
import { STAGING_BLOCKS } from '../src/limits.js';
import { Permits } from '../src/peer/permits.js';

/** Host memory for one block on its way, until `release`. */
export interface StagingBuffer {
  readonly bytes: Uint8Array;
  readonly shared: SharedPlace | null;
  release(): void;
}

/**
 * A few blocks of host memory, through which blocks pass that are read or written elsewhere: on a device that has memory of its own, or on disk.
 * Who waits for a buffer while it holds others must make do with `STAGING_BLOCKS` in all, and be the only one who does so.
 */
export class Staging {
  private readonly permits = new Permits(STAGING_BLOCKS);

  /** @param pool with room for `STAGING_BLOCKS` */
  constructor(private readonly pool: BlockPool) {}

  /** Waits for a buffer, in the order in which it was asked for. */
  async take(): Promise<StagingBuffer> {
    await this.permits.take();
    return this.buffer();
  }

  /** Null if all are in use. */
  takeAtOnce(): StagingBuffer | null {
    return this.permits.takeNow() ? this.buffer() : null;
  }

  /** None may be in use. */
  close(): void {
    this.pool.close();
  }

  private buffer(): StagingBuffer {
    const memory = this.pool.take();
    if (memory === null) throw new InternalError('more staging memory is in use than there is');
    let held = true;
    return {
      bytes: this.pool.bytes(memory),
      shared: this.pool.sharedPlace(memory),
      release: () => {
        if (!held) return;
        held = false;
        this.pool.give(memory);
        this.permits.give();
      },
    };
  }
}
