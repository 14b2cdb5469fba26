import type { Clock } from '../../src/clock.js';
import { SharedFile } from '../../src/native/shared-file.js';
import { EXTENT_BYTES } from '../../src/objects/extent-pool.js';
import type { ObjectValue } from '../../src/objects/object-value.js';
import { type SharedMark, type SharedValuePlace, sharingHost } from '../../src/objects/shared-object.js';
import type { Random } from '../../src/random.js';
import { SharedMarks } from './shared-marks.js';

/** Moves values into files in memory, which clients on this host read without a connection. */

/** Smaller values are sent as fast as their place, and the move of a larger one would hold up the others. */
const LEAST_BYTES = 256 * 1024;
const MOST_BYTES = 64 * 2 ** 20;
/** Each file costs a file descriptor. */
const FILES = 256;
const TOKEN_BYTES = 16;

export class ValueSharing {
  private readonly places = new WeakMap<ObjectValue, SharedValuePlace>();
  private readonly marks: SharedMarks | null;
  private readonly marked = new Map<ObjectValue, SharedMark>();
  private files = 0;

  /** This process's host, as clients name it. */
  readonly host: string;

  constructor(
    hostId: string,
    private readonly random: Random,
  ) {
    this.host = sharingHost(hostId);
    this.marks = SharedMarks.open(this.token(), FILES);
  }

  start(clock: Clock): void {
    this.marks?.start(clock);
  }

  stop(): void {
    this.clearAll();
    this.marks?.close();
  }

  /** Says, until `clear`, that a value at its place is the newest of its object. Null if that cannot be said. */
  mark(value: ObjectValue): SharedMark | null {
    const known = this.marked.get(value);
    if (known !== undefined) return known;
    const mark = this.marks?.set() ?? null;
    if (mark !== null) this.marked.set(value, mark);
    return mark;
  }

  /** A value is not the newest any more, or has other metadata. */
  clear(value: ObjectValue): void {
    const mark = this.marked.get(value);
    if (mark === undefined) return;
    this.marked.delete(value);
    this.marks!.clear(mark);
  }

  /** This worker may not answer for its objects alone any more. */
  clearAll(): void {
    for (const value of [...this.marked.keys()]) this.clear(value);
  }

  /** Where a process on this host finds a value; null if it cannot be moved there, or not now, since others read it. */
  placeOf(value: ObjectValue): SharedValuePlace | null {
    return this.places.get(value) ?? this.move(value);
  }

  private move(value: ObjectValue): SharedValuePlace | null {
    const { bytes } = value;
    if (!value.unread || bytes < LEAST_BYTES || bytes > MOST_BYTES || this.files >= FILES) return null;
    const file = SharedFile.write(bytes, placed(value), this.token());
    const mapped = file?.map() ?? null;
    if (file === null || mapped === null) {
      file?.close();
      return null;
    }
    this.files++;
    value.moveTo(extentsIn(mapped), () => {
      file.close();
      this.files--;
    });
    this.places.set(value, file.place);
    return file.place;
  }

  /** Letters and digits that no other file has. */
  private token(): string {
    return Buffer.from(this.random.bytes(TOKEN_BYTES)).toString('hex');
  }
}

function* placed(value: ObjectValue) {
  let at = 0;
  for (const bytes of value.extents) {
    yield { at, bytes };
    at += bytes.byteLength;
  }
}

function extentsIn({ buffer, byteOffset, byteLength }: Uint8Array): Buffer[] {
  const extents: Buffer[] = [];
  for (let at = 0; at < byteLength; at += EXTENT_BYTES) {
    extents.push(Buffer.from(buffer, byteOffset + at, Math.min(EXTENT_BYTES, byteLength - at)));
  }
  return extents;
}
