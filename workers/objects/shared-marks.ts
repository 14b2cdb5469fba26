import { closeSync, writeSync } from 'node:fs';
import type { Clock, Timer } from '../../src/clock.js';
import { memoryFile } from '../../src/native/libc.js';
import { MARK_BYTES, MARKS_FILE_NAME, type SharedMark } from '../../src/objects/shared-object.js';

/**
 * Says in a file in memory which values in shared memory are the newest of their objects, so that clients of this host need not ask for that. The first
 * mark is the time of the last beat: without a recent one, the worker hangs or is dead, and no mark counts.
 */

const BEAT_MS = 100;

export class SharedMarks {
  private readonly free: number[] = [];
  private serial = 0;
  private timer: Timer | null = null;

  private constructor(
    private readonly fileDescriptor: number,
    private readonly token: string,
    marks: number,
  ) {
    for (let slot = marks; slot > 0; slot--) this.free.push(slot);
  }

  /** Null if the system has no such files. @param marks limit on the marks that hold at a time */
  static open(token: string, marks: number): SharedMarks | null {
    const file = memoryFile(`${MARKS_FILE_NAME}-${token}`);
    return file === null ? null : new SharedMarks(file, token, marks);
  }

  start(clock: Clock): void {
    this.beat();
    this.timer ??= clock.every(BEAT_MS, () => this.beat());
  }

  /** Ends all marks. */
  close(): void {
    this.timer?.cancel();
    closeSync(this.fileDescriptor);
  }

  /** A mark that holds until it is cleared; null if there are too many. */
  set(): SharedMark | null {
    const slot = this.free.pop();
    if (slot === undefined) return null;
    const generation = ++this.serial;
    this.write(slot, BigInt(generation));
    return { fileDescriptor: this.fileDescriptor, token: this.token, slot, generation };
  }

  clear({ slot }: SharedMark): void {
    this.write(slot, 0n);
    this.free.push(slot);
  }

  private beat(): void {
    this.write(0, process.hrtime.bigint());
  }

  private write(slot: number, value: bigint): void {
    const bytes = Buffer.allocUnsafe(MARK_BYTES);
    bytes.writeBigUInt64LE(value);
    writeSync(this.fileDescriptor, bytes, 0, MARK_BYTES, slot * MARK_BYTES);
  }
}
