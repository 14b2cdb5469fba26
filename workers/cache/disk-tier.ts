import { IdleCondition } from '../../src/async/idle.js';
import { Mutex } from '../../src/async/mutex.js';
import type { Clock } from '../../src/clock.js';
import type { BlockKey, SealedBlock } from '../../src/core/block.js';
import { Residency } from '../../src/core/residency.js';
import { digestOf } from '../../src/digest.js';
import type { Log } from '../../src/log.js';
import { decodeHeader, encodeHeader, HEADER_BYTES } from './block-file.js';
import type { BlockFiles } from './block-folder.js';
import type { Staging } from './staging.js';
import type { RoleOf, Tier, TierListener, TierPin } from './tier.js';

/** Files as the lowest tier, which outlives the process. */

/** Failed file removals on a disk, after which removals stop until the next change. @internal exported for tests. */
export const DISK_REMOVALS_FAILED = 4;
/** Pause in writes to a disk after it refused one. @internal exported for tests. */
export const DISK_PAUSE_MS = 30_000;

export interface DiskTierOptions {
  readonly files: BlockFiles;
  readonly fingerprint: string;
  readonly blockBytes: number;
  readonly budgetBytes: number;
  /** Memory for copies of blocks that are evicted at once. */
  readonly staging: Staging;
  readonly roleOf: RoleOf;
  readonly clock: Clock;
  readonly log: Log;
  /** The bytes of a file do not match the digest of its block. */
  readonly onDamage: (block: BlockKey) => void;
}

/**
 * Files as the lowest tier, which outlives the process. A block is read only with the digest that it was written with. A write that the disk
 * refuses costs that copy, and nothing is written for a while.
 */
export class DiskTier implements Tier {
  readonly name = 'disk';
  private readonly residency: Residency<SealedBlock>;
  private readonly fileBytes: number;
  /** Blocks without an entry whose files are still to be removed; failed removals come last. Files count as used until they are gone. */
  private readonly leaving: BlockKey[] = [];
  /** False once a failed removal was logged, until none is left: the log has one line of it. */
  private removesAll = true;
  private usedBytes = 0;
  private resets = 0;
  /** When the disk refused a write; null once a later write succeeded. */
  private refusedAtMs: number | null = null;
  private listener: TierListener = { landed: () => {}, left: () => {} };
  /** Serializes changes of the folder. */
  private readonly changes = new Mutex();
  private pendingChanges = 0;
  private readonly idleCondition = new IdleCondition(() => this.pendingChanges === 0);

  constructor(private readonly options: DiskTierOptions) {
    this.fileBytes = HEADER_BYTES + options.blockBytes;
    const budgetBlocks = Math.floor(options.budgetBytes / this.fileBytes);
    this.residency = new Residency<SealedBlock>(budgetBlocks, ({ key }) => this.leaving.push(key));
  }

  /** Indexes the folder; to be called first. A file that is of no use is removed, and counted as damage. */
  async open(): Promise<void> {
    const { files, roleOf } = this.options;
    for (const { key, byteLength } of await files.list()) {
      const block = await this.recognized(key, byteLength);
      if (block === null) {
        this.options.onDamage(key);
        await this.discard(key);
      } else if (await this.makeRoom(block.parent)) {
        this.usedBytes += this.fileBytes;
        this.residency.insert(block, roleOf(block), block);
      } else {
        await this.discard(key);
      }
    }
  }

  get blocks(): number {
    return this.residency.size;
  }

  get bytes(): number {
    return this.usedBytes;
  }

  get budgetBytes(): number {
    return this.options.budgetBytes;
  }

  /** Whether the last write succeeded, or the pause after a refused one is over. */
  get accepts(): boolean {
    const { refusedAtMs, options } = this;
    return refusedAtMs === null || options.clock.now() - refusedAtMs >= DISK_PAUSE_MS;
  }

  get hasRoom(): boolean {
    return this.accepts && this.usedBytes + this.fileBytes <= this.budgetBytes;
  }

  listen(listener: TierListener): void {
    this.listener = listener;
  }

  has(key: BlockKey): boolean {
    return this.residency.has(key);
  }

  sealed(key: BlockKey): SealedBlock | null {
    return this.residency.get(key);
  }

  keys(): IterableIterator<BlockKey> {
    return this.residency.keys();
  }

  touch(key: BlockKey): void {
    this.residency.touch(key);
  }

  pin(key: BlockKey): TierPin | null {
    const pin = this.residency.pin(key);
    if (pin === null) return null;
    const unpin = () => {
      pin.unpin();
      this.removeLeaving();
    };
    return { block: pin.value, bytes: null, shared: null, unpin };
  }

  async read(key: BlockKey, into: Uint8Array): Promise<boolean> {
    const pin = this.pin(key);
    if (pin === null) return false;
    this.touch(key);
    const { resets } = this;
    try {
      const whole = await this.options.files.read(key, into, HEADER_BYTES);
      if (whole && digestOf(into) === pin.block.digest) return true;
      if (resets === this.resets) this.damaged(key);
    } catch (err) {
      this.options.log.warn({ err }, 'a block could not be read from disk');
      if (resets === this.resets) this.lose(key, 'evicted');
    } finally {
      pin.unpin();
    }
    return false;
  }

  put(block: SealedBlock, bytes: Uint8Array): Promise<boolean> {
    const { resets } = this;
    return this.inTurn(() => this.write(block, bytes, resets));
  }

  take(block: SealedBlock, bytes: Uint8Array): void {
    if (!this.accepts || this.has(block.key)) return;
    const buffer = this.options.staging.takeAtOnce();
    if (buffer === null) return;
    if (buffer.linger()) {
      buffer.bytes.set(bytes);
      void this.put(block, buffer.bytes).finally(buffer.release);
    } else {
      buffer.release();
    }
  }

  reassign(roleOf: RoleOf): void {
    this.residency.reassign(roleOf);
  }

  reset(): number {
    this.resets++;
    const keys = this.residency.clear();
    for (const key of keys) this.listener.left(key, 'reset');
    this.removeLeaving();
    return keys.length;
  }

  idle(): Promise<void> {
    return this.idleCondition.wait();
  }

  async close(): Promise<void> {
    this.removeLeaving();
    await this.idle();
    await this.options.files.close();
  }

  /** `resets` is the number of resets when the block came: a block that a reset finds waiting is not written. */
  private async write(block: SealedBlock, bytes: Uint8Array, resets: number): Promise<boolean> {
    const { files, fingerprint, blockBytes, roleOf } = this.options;
    if (this.has(block.key)) return true;
    if (resets !== this.resets || !this.accepts || !(await this.makeRoom(block.parent))) return false;
    this.usedBytes += this.fileBytes;
    try {
      await files.write(block.key, [encodeHeader({ fingerprint, block, blockBytes }), bytes]);
    } catch (error) {
      this.usedBytes -= this.fileBytes;
      this.refused(error);
      return false;
    }
    this.accepted();
    if (resets !== this.resets) {
      this.leaving.push(block.key);
      await this.remove();
      return false;
    }
    this.residency.insert(block, roleOf(block), block);
    this.listener.landed(block);
    return true;
  }

  /** Evicts until one more file fits, and waits until the evicted files are gone from the disk. */
  private async makeRoom(parent: BlockKey | null): Promise<boolean> {
    await this.remove();
    while (this.usedBytes + this.fileBytes > this.budgetBytes) {
      const evicted = this.residency.evict(parent);
      if (evicted === null) return false;
      const { key } = evicted;
      this.leaving.push(key);
      this.listener.left(key, 'evicted');
      const failure = await this.remove();
      // One eviction after another would free nothing.
      if (failure !== null && this.leaving.includes(key)) {
        this.refused(failure);
        return false;
      }
    }
    return true;
  }

  /** Removes a file that is not in the index. */
  private async discard(key: BlockKey): Promise<void> {
    this.usedBytes += this.fileBytes;
    this.leaving.unshift(key);
    await this.remove();
  }

  private damaged(key: BlockKey): void {
    this.options.onDamage(key);
    this.lose(key, 'damaged');
  }

  private lose(key: BlockKey, reason: 'evicted' | 'damaged'): void {
    if (this.residency.remove(key)) this.listener.left(key, reason);
  }

  private removeLeaving(): void {
    if (this.leaving.length > 0) void this.inTurn(() => this.remove());
  }

  /** Tries once to remove each file that is to be. Gives the error of the last failed removal, which is tried again later. */
  private async remove(): Promise<Error | null> {
    const failed: BlockKey[] = [];
    let failure: Error | null = null;
    while (failed.length < DISK_REMOVALS_FAILED) {
      const key = this.leaving.shift();
      if (key === undefined) break;
      try {
        // The same block may have been written again since: then the file is the new one.
        if (!this.has(key)) await this.options.files.remove(key);
        this.usedBytes -= this.fileBytes;
      } catch (error) {
        failed.push(key);
        failure = error as Error;
      }
    }
    this.leaving.push(...failed);
    if (failure !== null && this.removesAll) {
      this.options.log.warn(
        { err: failure },
        'a file of the disk cache cannot be removed: it counts, and is tried again',
      );
    }
    this.removesAll = this.leaving.length === 0;
    return failure;
  }

  private async inTurn<T>(change: () => Promise<T>): Promise<T> {
    this.pendingChanges++;
    try {
      return await this.changes.run(change);
    } finally {
      this.pendingChanges--;
      this.idleCondition.notify();
    }
  }

  private refused(err: unknown): void {
    if (this.refusedAtMs === null) {
      this.options.log.warn({ err }, 'the disk takes no blocks: they are kept in memory alone until it does again');
    }
    this.refusedAtMs = this.options.clock.now();
  }

  private accepted(): void {
    if (this.refusedAtMs !== null) this.options.log.info({}, 'the disk takes blocks again');
    this.refusedAtMs = null;
  }

  /** The block of a file; null if the file is not whole or of another fleet. The digest is checked when the bytes are read. */
  private async recognized(key: BlockKey, byteLength: number): Promise<SealedBlock | null> {
    const { files, fingerprint, blockBytes } = this.options;
    const bytes = new Uint8Array(HEADER_BYTES);
    if (byteLength !== this.fileBytes || !(await files.read(key, bytes, 0).catch(() => false))) return null;
    const header = decodeHeader(bytes);
    const fits = header?.fingerprint === fingerprint && header.blockBytes === blockBytes && header.block.key === key;
    return fits ? header.block : null;
  }
}
