import { Semaphore } from '../../src/async/semaphore.js';
import { BlockPool } from '../../src/device/block-pool.js';
import { Unavailable } from '../../src/errors.js';
import { STAGING_DISK_SHARE } from '../../src/limits.js';
import type { OrtRuntime } from '../../src/ort/runtime.js';

/** A few blocks of host memory for blocks on their way between device, disk and peers. */

/** Host memory for one block on its way, until `release`. */
export interface StagingBuffer {
  readonly bytes: Uint8Array;
  /** Asks whether it may be held until a disk has written it, however long that takes. False where enough others are held so. */
  linger(): boolean;
  release(): void;
}

/**
 * A few blocks of host memory, through which blocks pass that are read or written elsewhere: on a device that has memory of its own, or on disk.
 * Who waits for a buffer while it holds others must make do with all that there are, or with `quickBlocks` where there is a disk, and be the only
 * one who does so.
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

  /** As many of them as come and go, however slow a disk is. */
  get quickBlocks(): number {
    return this.blocks - this.diskBlocks;
  }

  /** Waits for a buffer, in the order in which it was asked for. Rejects with `Unavailable` if the system has no memory for a single one. */
  async take(): Promise<StagingBuffer> {
    while (await this.permits.acquire()) {
      const buffer = this.buffer();
      if (buffer !== null) return buffer;
    }
    throw new Unavailable('the system has no host memory for blocks on their way');
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

  /** One more waits for the disk unasked: what the demoter copies there. */
  private get mayLinger(): boolean {
    return this.lingering < this.diskBlocks - 1;
  }

  /** With a permit. Where the system has no memory for that, the permit is used up: there are to be as many as buffers. */
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
