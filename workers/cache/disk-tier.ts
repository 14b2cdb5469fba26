import { IdleMutex } from '../../src/async/idle-mutex.js';
import type { Clock } from '../../src/clock.js';
import type { BlockKey, SealedBlock } from '../../src/core/block.js';
import { Residency } from '../../src/core/residency.js';
import { Unavailable } from '../../src/errors.js';
import type { PacedLog } from '../../src/paced-log.js';
import { type DiskBlock, encodeHeader, HEADER_BYTES } from './block-file.js';
import type { BlockFiles } from './block-folder.js';
import { FileSealer } from './file-seal.js';
import { ReadDeadline } from './read-deadline.js';
import { recognized } from './recognized.js';
import type { Staging } from './staging.js';
import type { DropReason, LeaveReason, RoleOf, Tier, TierListener, TierPin } from './tier.js';
import { WatchedFiles } from './watched-files.js';
import { WritePause } from './write-pause.js';

/** Files as the lowest tier, which outlives the process. */

/** Failed file removals on a disk, after which removals stop until the next change. @internal exported for tests. */
export const DISK_REMOVALS_FAILED = 4;

export interface DiskTierOptions {
  readonly files: BlockFiles;
  readonly fingerprint: string;
  /** Seals the files. Files that were sealed with another secret are of no use. */
  readonly secret: string;
  readonly blockBytes: number;
  readonly budgetBytes: number;
  /** Memory for copies of blocks that are evicted at once. */
  readonly staging: Staging;
  readonly roleOf: RoleOf;
  readonly clock: Clock;
  readonly log: PacedLog;
  /** Time to compute a block instead of reading it; null if unknown. */
  readonly computeMsPerBlock: () => number | null;
  /** The disk has stopped answering, or answers again. */
  readonly onAnswers: () => void;
  /** A file is not as a holder of the secret has written it. */
  readonly onDamage: (block: BlockKey) => void;
}

/**
 * Files as the lowest tier, which outlives the process. A block is read only as a holder of the secret has written it. A write that the disk
 * refuses costs that copy, and nothing is written for a while. While the disk does not answer, the tier gives and takes nothing, and keeps its index.
 */
export class DiskTier implements Tier {
  readonly name = 'disk';
  private readonly residency: Residency<DiskBlock>;
  private readonly sealer: FileSealer;
  private readonly fileBytes: number;
  private readonly files: WatchedFiles;
  /** The folder could not be indexed yet. Until then nothing is written: the files there count. */
  private indexOwed = false;
  private readonly readDeadline: ReadDeadline;
  /** Blocks without an entry whose files are still to be removed; failed removals come last. Files count as used until they are gone. */
  private readonly leaving: BlockKey[] = [];
  /** False once a failed removal was logged, until none is left: the log has one line of it. */
  private removesAll = true;
  private usedBytes = 0;
  private resets = 0;
  private readonly pause: WritePause;
  private listener: TierListener = { landed: () => {}, left: () => {} };
  /** Serializes changes of the folder. */
  private readonly changes = new IdleMutex();

  constructor(private readonly options: DiskTierOptions) {
    const { files, clock, log } = options;
    this.pause = new WritePause(clock, log);
    this.sealer = new FileSealer(options.secret);
    this.readDeadline = new ReadDeadline(options.computeMsPerBlock);
    this.fileBytes = HEADER_BYTES + options.blockBytes;
    const { fileBytes } = this;
    this.files = new WatchedFiles({ files, fileBytes, clock, log, onChange: () => this.answerChanged() });
    const budgetBlocks = Math.floor(options.budgetBytes / this.fileBytes);
    this.residency = new Residency<DiskBlock>(budgetBlocks, ({ block }) => this.leaving.push(block.key));
  }

  /** Indexes the folder, or begins without it if the disk does not answer or fails; to be called first. */
  async open(): Promise<void> {
    await this.changes.run(() => this.index(() => {})).catch((error: Error) => this.files.giveUp(error.message));
  }

  private async index(landed: (block: SealedBlock) => void): Promise<void> {
    try {
      await this.indexFiles(landed);
      this.indexOwed = false;
    } catch (error) {
      this.indexOwed = true;
      if (!(error instanceof Unavailable)) throw error;
    }
  }

  /** After the start, a folder that turns out to be unusable costs the tier, not the worker. */
  private async indexLate(): Promise<void> {
    if (!this.indexOwed) return;
    try {
      await this.index((block) => this.listener.landed(block));
    } catch (err) {
      this.options.log.error({ err }, 'the disk cache cannot be used: this worker continues without it');
    }
  }

  /** A file that is of no use is removed, and counted as damage unless an earlier version has written it. */
  private async indexFiles(landed: (block: SealedBlock) => void): Promise<void> {
    const { roleOf } = this.options;
    for (const file of await this.files.list()) {
      const { key } = file;
      if (this.has(key)) continue;
      const found = await recognized(this.files, file, { ...this.options, sealer: this.sealer });
      if (found === null) this.options.onDamage(key);
      if (found === null || found === 'outdated' || !(await this.makeRoom(found.block.parent))) {
        await this.discard(key);
        continue;
      }
      const { block, seal } = found;
      this.usedBytes += this.fileBytes;
      this.residency.insert(block, roleOf(block), { block, seal });
      landed(block);
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
    return this.answers && !this.indexOwed && this.pause.over;
  }

  get answers(): boolean {
    return !this.files.away;
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
    return this.residency.get(key)?.block ?? null;
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
    return { block: pin.value.block, bytes: null, shared: null, unpin };
  }

  async read(key: BlockKey, into: Uint8Array): Promise<boolean> {
    const seal = this.residency.get(key)?.seal;
    const pin = this.pin(key);
    if (pin === null || seal === undefined) return false;
    this.touch(key);
    const { resets } = this;
    const { clock } = this.options;
    const startMs = clock.now();
    try {
      const whole = await this.files.read(key, into, HEADER_BYTES, this.readDeadline.ms);
      this.readDeadline.measured(startMs, clock.now());
      if (whole && this.sealer.opensBlock(into, seal)) return true;
      if (resets === this.resets) {
        this.options.onDamage(key);
        this.lose(key, 'damaged');
      }
    } catch (err) {
      // The block is still there, and the log has said that the disk is away.
      if (err instanceof Unavailable) return false;
      this.options.log.warn({ err }, 'a block could not be read from disk');
      if (resets === this.resets) this.lose(key, 'evicted');
    } finally {
      pin.unpin();
    }
    return false;
  }

  put(block: SealedBlock, bytes: Uint8Array): Promise<boolean> {
    const { resets } = this;
    return this.changes.run(() => this.write(block, bytes, resets));
  }

  take(block: SealedBlock, bytes: Uint8Array): void {
    if (!this.accepts || this.has(block.key)) return;
    const buffer = this.options.staging.takeAtOnce();
    if (buffer === null) return;
    if (buffer.linger()) {
      buffer.bytes.set(bytes);
      void this.put(block, buffer.bytes).finally(buffer.release);
    } else buffer.release();
  }

  retain(keys: ReadonlySet<BlockKey>): void {
    this.residency.retain(keys);
  }

  reassign(roleOf: RoleOf): void {
    this.residency.reassign(roleOf);
  }

  /** Tries again to remove the files of blocks that are not here any more. Resolves with whether all are gone. */
  async filesRemoved(): Promise<boolean> {
    this.removeLeaving();
    await this.idle();
    return this.leaving.length === 0;
  }

  drop(key: BlockKey, reason: DropReason): void {
    this.lose(key, reason);
    this.removeLeaving();
  }

  reset(): number {
    this.resets++;
    const keys = this.residency.clear();
    for (const key of keys) this.listener.left(key, 'reset');
    this.removeLeaving();
    return keys.length;
  }

  idle(): Promise<void> {
    return this.changes.idle();
  }

  async close(): Promise<void> {
    await this.filesRemoved();
    await this.files.close();
  }

  /** `resets` is the number of resets when the block came: a block that a reset finds waiting is not written. */
  private async write(block: SealedBlock, bytes: Uint8Array, resets: number): Promise<boolean> {
    const { fingerprint, blockBytes, roleOf } = this.options;
    if (this.has(block.key)) return true;
    if (resets !== this.resets || !this.accepts || !(await this.makeRoom(block.parent))) return false;
    this.usedBytes += this.fileBytes;
    const seal = this.sealer.sealBlock(bytes);
    try {
      const header = encodeHeader({ fingerprint, block, blockBytes, seal }, this.sealer);
      await this.files.write(block.key, [header, bytes]);
    } catch (error) {
      // A write that hangs may still end: its file counts until it is removed.
      if (error instanceof Unavailable) this.leaving.push(block.key);
      else this.usedBytes -= this.fileBytes;
      this.pause.refused(error);
      return false;
    }
    this.pause.accepted();
    if (resets !== this.resets) {
      this.leaving.push(block.key);
      await this.remove();
      return false;
    }
    this.residency.insert(block, roleOf(block), { block, seal });
    this.listener.landed(block);
    return true;
  }

  /** Evicts until one more file fits, and waits until the evicted files are gone from the disk. */
  private async makeRoom(parent: BlockKey | null): Promise<boolean> {
    await this.remove();
    while (this.usedBytes + this.fileBytes > this.budgetBytes) {
      if (!this.answers) return false;
      const evicted = this.residency.evict(parent);
      if (evicted === null) return false;
      const { key } = evicted.block;
      this.leaving.push(key);
      this.listener.left(key, 'evicted');
      const failure = await this.remove();
      // One eviction after another would free nothing.
      if (failure !== null && this.leaving.includes(key)) {
        this.pause.refused(failure);
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

  private lose(key: BlockKey, reason: LeaveReason): void {
    if (this.residency.remove(key)) this.listener.left(key, reason);
  }

  private removeLeaving(): void {
    if (this.leaving.length > 0 && this.answers) void this.changes.run(() => this.remove());
  }

  /** Tries once to remove each pending file. Returns the error of the last failed removal, which is tried again later. */
  private async remove(): Promise<Error | null> {
    const failed: BlockKey[] = [];
    let failure: Error | null = null;
    while (failed.length < DISK_REMOVALS_FAILED && this.answers) {
      const key = this.leaving.shift();
      if (key === undefined) break;
      try {
        // The same block may have been written again since: then the file is the new one.
        if (!this.has(key)) await this.files.remove(key);
        this.usedBytes -= this.fileBytes;
      } catch (error) {
        failed.push(key);
        failure = error as Error;
      }
    }
    this.leaving.push(...failed);
    if (failure !== null && this.removesAll) {
      this.options.log.warn({ err: failure }, 'cannot remove a file of the disk cache; it is tried again');
    }
    this.removesAll = this.leaving.length === 0;
    return failure;
  }

  private answerChanged(): void {
    if (this.answers) void this.changes.run(() => this.indexLate());
    this.removeLeaving();
    this.options.onAnswers();
  }
}
