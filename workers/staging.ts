import { BlockPool } from '../src/device/block-pool.js';
import { InternalError } from '../src/errors.js';
import type { OrtRuntime } from '../src/ort/runtime.js';
import { Permits } from '../src/peer/permits.js';

/** Host memory for one block on its way, until `release`. */
export interface StagingBuffer {
  readonly bytes: Uint8Array;
  release(): void;
}

/**
 * A few blocks of host memory, through which blocks pass that are read or written elsewhere: on a device that has memory of its own, or on disk.
 * Who waits for a buffer while it holds others must make do with all that there are, and be the only one who does so.
 */
export class Staging {
  private readonly permits: Permits;
  private readonly pool: BlockPool;

  constructor(
    runtime: OrtRuntime,
    blockBytes: number,
    readonly blocks: number,
  ) {
    this.permits = new Permits(blocks);
    this.pool = new BlockPool(runtime, blockBytes, blocks * blockBytes);
  }

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
      release: () => {
        if (!held) return;
        held = false;
        this.pool.give(memory);
        this.permits.give();
      },
    };
  }
}
