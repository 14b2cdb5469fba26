import type { Clock, Timer } from '../../src/clock.js';
import type { BlockKey } from '../../src/core/block.js';
import { Unavailable } from '../../src/errors.js';
import type { PacedLog } from '../../src/paced-log.js';
import { type BlockFiles, NoRegularFile } from './block-folder.js';

/** The files of a disk tier, with a deadline for each operation, and whether the disk answers. */

/**
 * Reads at a time. Together with the one change at a time they are fewer than the threads on which Node runs file operations and ONNX Runtime
 * runs graphs (4): a disk that hangs must leave one to the rest of the process. @internal exported for tests.
 */
export const DISK_READS = 2;
/** Deadline of a change, without the time for its bytes. @internal exported for tests. */
export const DISK_CHANGE_MS = 2_000;
/** Slowest disk that is waited for. */
const SLOWEST_BYTES_PER_MS = 20_000;
/** Deadline for the next file name of a list. */
const LIST_STEP_MS = 10_000;
/** Time after a deadline in which an answer that has already come is noticed: this process may have stood still. */
const NOTICE_MS = 20;
/** Pauses between the probes of a disk that does not answer, from the first to the longest; each is twice the one before. @internal exported for tests. */
export const DISK_PROBE_MS = { first: 1_000, longest: 30_000 } as const;

/** An operation at a time, and the memory that it reads into or writes from. A disk that answers late finds that memory unchanged. */
interface Lane {
  busy: boolean;
  memory: Uint8Array | null;
}

export interface WatchedFilesOptions {
  readonly files: BlockFiles;
  /** Bytes of the largest read or write. */
  readonly fileBytes: number;
  readonly clock: Clock;
  readonly log: PacedLog;
  /** The disk has stopped answering, or answers again. */
  readonly onChange: () => void;
}

/**
 * Runs file operations with deadlines. After a missed deadline the disk is away: all operations reject with `Unavailable` at once, until a probe
 * succeeds. An operation that hangs keeps its lane, so that no more of them hang than there are lanes, and no memory is reused under it.
 */
export class WatchedFiles {
  private readonly reads: readonly Lane[];
  private readonly change: Lane = { busy: false, memory: null };
  private readonly readers: { go(lane: Lane): void; fail(error: Unavailable): void }[] = [];
  private awayBecause: string | null = null;
  private probing: Timer | null = null;
  private probePauseMs: number = DISK_PROBE_MS.first;
  private closed = false;

  constructor(private readonly options: WatchedFilesOptions) {
    this.reads = Array.from({ length: DISK_READS }, () => ({ busy: false, memory: null }));
  }

  get away(): boolean {
    return this.awayBecause !== null;
  }

  /** As `BlockFiles.read`; also rejects with `Unavailable` if the disk is away, or does not answer by the deadline. */
  async read(key: BlockKey, into: Uint8Array, position: number, deadlineMs: number): Promise<boolean> {
    const lane = await this.readLane();
    const memory = this.memoryOf(lane).subarray(0, into.byteLength);
    const whole = await this.run(lane, deadlineMs, 'a read', () => this.options.files.read(key, memory, position));
    if (whole) into.set(memory);
    return whole;
  }

  /** As `BlockFiles.write`; also rejects with `Unavailable`. Then the file may still be written, and is not known to be absent. */
  async write(key: BlockKey, parts: readonly Uint8Array[]): Promise<void> {
    const lane = this.changeLane();
    const memory = this.memoryOf(lane);
    let byteLength = 0;
    for (const part of parts) {
      memory.set(part, byteLength);
      byteLength += part.byteLength;
    }
    const deadlineMs = DISK_CHANGE_MS + byteLength / SLOWEST_BYTES_PER_MS;
    const bytes = memory.subarray(0, byteLength);
    await this.run(lane, deadlineMs, 'a write', () => this.options.files.write(key, [bytes]));
  }

  /** As `BlockFiles.remove`; also rejects with `Unavailable`. */
  async remove(key: BlockKey): Promise<void> {
    await this.run(this.changeLane(), DISK_CHANGE_MS, 'a removal', () => this.options.files.remove(key));
  }

  /** As `BlockFiles.list`; also rejects with `Unavailable`. */
  list(): ReturnType<BlockFiles['list']> {
    return this.run(this.changeLane(), LIST_STEP_MS, 'a list of files', (onStep) => this.options.files.list(onStep));
  }

  /** Leaves the disk alone, as one that does not answer, until a probe succeeds. */
  giveUp(why: string): void {
    this.lost(why);
  }

  /** Ends the probes, and closes the files if the disk answers. */
  async close(): Promise<void> {
    this.closed = true;
    this.probing?.cancel();
    if (this.away || this.change.busy) return;
    await this.run(this.change, DISK_CHANGE_MS, 'a close', () => this.options.files.close()).catch(() => {});
  }

  private async readLane(): Promise<Lane> {
    this.refuseIfAway();
    const free = this.reads.find(({ busy }) => !busy);
    if (free === undefined) return new Promise((go, fail) => this.readers.push({ go, fail }));
    free.busy = true;
    return free;
  }

  private changeLane(): Lane {
    this.refuseIfAway();
    if (this.change.busy) throw new Unavailable('the disk cache is busy with another change');
    this.change.busy = true;
    return this.change;
  }

  private refuseIfAway(): void {
    if (this.awayBecause !== null) throw new Unavailable(`the disk cache is away: ${this.awayBecause}`);
  }

  private memoryOf(lane: Lane): Uint8Array {
    lane.memory ??= new Uint8Array(this.options.fileBytes);
    return lane.memory;
  }

  /** Runs an operation in a lane, until its deadline; each call of `onStep` extends that. The lane is busy until the operation ends, however late. */
  private run<T>(
    lane: Lane,
    deadlineMs: number,
    what: string,
    operation: (onStep: () => void) => Promise<T>,
  ): Promise<T> {
    const { clock } = this.options;
    let late = false;
    return new Promise((resolve, reject) => {
      let timer: Timer;
      const overdue = () => {
        late = true;
        this.lost(`${what} has not ended within ${Math.round(deadlineMs)} ms`);
        reject(new Unavailable(`the disk cache does not answer: ${what} has not ended`));
      };
      const wait = () => {
        timer = clock.after(deadlineMs, () => {
          timer = clock.after(NOTICE_MS, overdue);
        });
      };
      const ended = (settle: () => void) => {
        timer.cancel();
        this.free(lane);
        if (late) this.probeSoon(0);
        settle();
      };
      lane.busy = true;
      wait();
      const onStep = () => {
        timer.cancel();
        if (!late) wait();
      };
      operation(onStep).then(
        (value) => ended(() => resolve(value)),
        (error: unknown) =>
          ended(() => {
            if (error instanceof NoRegularFile) this.lost(error.message);
            reject(error);
          }),
      );
    });
  }

  private free(lane: Lane): void {
    lane.busy = false;
    if (lane === this.change) return;
    const next = this.readers.shift();
    if (next === undefined) return;
    lane.busy = true;
    next.go(lane);
  }

  private lost(why: string): void {
    if (this.awayBecause !== null) return;
    this.awayBecause = why;
    this.options.log.state('disk', 'warn', { reason: why }, 'the disk cache is away: this worker continues without it');
    for (const { fail } of this.readers.splice(0)) fail(new Unavailable(`the disk cache is away: ${why}`));
    this.probePauseMs = DISK_PROBE_MS.first;
    this.probeSoon(this.probePauseMs);
    this.options.onChange();
  }

  private probeSoon(afterMs: number): void {
    this.probing?.cancel();
    if (this.closed || !this.away) return;
    this.probing = this.options.clock.after(afterMs, () => void this.probe());
  }

  /** A disk on which all reads still hang, or a change does, is not asked: the end of one of them is its answer. */
  private async probe(): Promise<void> {
    const hangs = this.change.busy || this.reads.every(({ busy }) => busy);
    const answers = hangs
      ? false
      : await this.run(this.change, DISK_CHANGE_MS, 'a probe', () => this.options.files.probe()).then(
          () => true,
          () => false,
        );
    if (answers) {
      this.found();
      return;
    }
    this.probePauseMs = Math.min(DISK_PROBE_MS.longest, 2 * this.probePauseMs);
    this.probeSoon(this.probePauseMs);
  }

  private found(): void {
    if (this.closed || this.awayBecause === null) return;
    this.awayBecause = null;
    this.options.log.state('disk', 'warn', {}, 'the disk cache answers again');
    this.options.onChange();
  }
}
