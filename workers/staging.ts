import { BlockPool } from '../src/device/block-pool.js';
import { Unavailable } from '../src/errors.js';
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

  constructor(runtime: OrtRuntime, blockBytes: number, blocks: number) {
    this.permits = new Permits(blocks);
    this.pool = new BlockPool(runtime, blockBytes, blocks * blockBytes);
  }

  /** Buffers that may be in use at once: fewer, or none, once the system turns out to have less memory than that. */
  get blocks(): number {
    return this.pool.capacityBlocks;
  }

  /** Waits for a buffer, in the order in which it was asked for. Rejects with `Unavailable` if the system has no memory for a single one. */
  async take(): Promise<StagingBuffer> {
    while (await this.permits.take()) {
      const buffer = this.buffer();
      if (buffer !== null) return buffer;
    }
    throw new Unavailable('the system has no host memory for blocks on their way');
  }

  /** Null if all are in use, or the system has no memory for more. */
  takeAtOnce(): StagingBuffer | null {
    return this.permits.takeNow() ? this.buffer() : null;
  }

  /** None may be in use. */
  close(): void {
    this.pool.close();
  }

  /** With a permit. Where the system has no memory for that, the permit is used up: there are to be as many as buffers. */
  private buffer(): StagingBuffer | null {
    const memory = this.pool.take();
    if (memory === null) {
      if (this.blocks === 0) this.permits.close();
      return null;
    }
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
