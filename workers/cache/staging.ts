import { Semaphore } from '../../src/async/semaphore.js';
import { BlockPool } from '../../src/device/block-pool.js';
import { Unavailable } from '../../src/errors.js';
import type { OrtRuntime } from '../../src/ort/runtime.js';

/** A few blocks of host memory for blocks in transit between device, disk and peers. */

/** Limit on the share of the staging buffers of either direction that wait for a disk write, however slow the disk is. @internal exported for tests. */
export const STAGING_DISK_SHARE = 1 / 2;

/** Host memory for one block in transit, until `release`. */
export interface StagingBuffer {
  readonly bytes: Uint8Array;
  /** Asks for leave to keep the buffer until a disk has written it, however long that takes. False where enough others linger. */
  linger(): boolean;
  release(): void;
}

/**
 * A few blocks of host memory, through which blocks pass to and from a device with separate memory, or the disk.
 * To rule out deadlock, one caller at most may wait for a buffer while it has others, and it may need no more than `blocks` in all, or no more than
 * `quickBlocks` where there is a disk.
 */
export class Staging {
  private readonly permits: Semaphore;
  private readonly pool: BlockPool;
  private lingering = 0;

  constructor(runtime: OrtRuntime, blockBytes: number, blocks: number) {
    this.permits = new Semaphore(blocks);
    this.pool = new BlockPool(runtime, blockBytes, blocks * blockBytes);
  }

  /** Buffers that may be in use at once: fewer, or none, once the system turns out to have less memory than that. */
  get blocks(): number {
    return this.pool.capacityBlocks;
  }

  /** Buffers that never linger, however slow a disk is. */
  get quickBlocks(): number {
    return this.blocks - this.diskBlocks;
  }

  /** Waits for a buffer; first come, first served. Rejects with `Unavailable` if the system has no memory for a single one. */
  async take(): Promise<StagingBuffer> {
    while (await this.permits.acquire()) {
      const buffer = this.buffer();
      if (buffer !== null) return buffer;
    }
    throw new Unavailable('the system has no host memory for blocks in transit');
  }

  /** Null if all are in use, or the system has no memory for more. */
  takeAtOnce(): StagingBuffer | null {
    return this.permits.tryAcquire() ? this.buffer() : null;
  }

  /** None may be in use. */
  close(): void {
    this.pool.close();
  }

  private get diskBlocks(): number {
    return Math.floor(STAGING_DISK_SHARE * this.blocks);
  }

  /** One buffer more waits for the disk without asking: the demoter's. */
  private get mayLinger(): boolean {
    return this.lingering < this.diskBlocks - 1;
  }

  /** To be called with a permit. Where the system has no memory for a buffer, the permit is lost: there are as many permits as buffers. */
  private buffer(): StagingBuffer | null {
    const memory = this.pool.take();
    if (memory === null) {
      if (this.blocks === 0) this.permits.close();
      return null;
    }
    let held = true;
    let lingers = false;
    return {
      bytes: this.pool.bytes(memory),
      linger: () => {
        if (!lingers && this.mayLinger) {
          this.lingering++;
          lingers = true;
        }
        return lingers;
      },
      release: () => {
        if (!held) return;
        held = false;
        if (lingers) this.lingering--;
        this.pool.give(memory);
        this.permits.release();
      },
    };
  }
}
