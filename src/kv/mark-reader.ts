import { closeSync, constants, openSync, readlinkSync, readSync } from 'node:fs';
import { MARK_BYTES, MARKS_FILE_NAME, type SharedMark } from '../objects/shared-object.js';

/** Reads the marks by which workers of this host say that a value in shared memory is still the newest of its object. */

/** A worker that has not beaten for so long may have been replaced without knowing it. */
const BEAT_NS = 1_000_000_000n;

export class MarkReader {
  /** By process and token; null for a file that cannot be read. */
  private readonly files = new Map<string, number | null>();
  private readonly bytes = Buffer.alloc(2 * MARK_BYTES);

  /** Whether a mark of a process holds now. */
  holds(pid: number, mark: SharedMark): boolean {
    const file = this.file(pid, mark);
    if (file === null) return false;
    try {
      // Throws once the process is gone.
      process.kill(pid, 0);
      const whole =
        readSync(file, this.bytes, 0, MARK_BYTES, mark.slot * MARK_BYTES) === MARK_BYTES &&
        readSync(file, this.bytes, MARK_BYTES, MARK_BYTES, 0) === MARK_BYTES;
      const beatNs = this.bytes.readBigUInt64LE(MARK_BYTES);
      return (
        whole && this.bytes.readBigUInt64LE(0) === BigInt(mark.generation) && process.hrtime.bigint() - beatNs < BEAT_NS
      );
    } catch {
      return false;
    }
  }

  close(): void {
    for (const file of this.files.values()) if (file !== null) closeSync(file);
    this.files.clear();
  }

  private file(pid: number, { fileDescriptor, token }: SharedMark): number | null {
    const name = `${pid}/${token}`;
    const known = this.files.get(name);
    if (known !== undefined) return known;
    const opened = openNamed(`/proc/${pid}/fd/${fileDescriptor}`, `${MARKS_FILE_NAME}-${token}`);
    this.files.set(name, opened);
    return opened;
  }
}

/** A file in memory of this name; null for any other, which may have taken its descriptor. */
export function openNamed(path: string, name: string): number | null {
  let file: number | null = null;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (readlinkSync(`/proc/self/fd/${file}`).startsWith(`/memfd:${name} `)) return file;
  } catch {
    // It is another user's, or has gone.
  }
  if (file !== null) closeSync(file);
  return null;
}
