import { Corrupt } from '../../errors.js';

/**
 * FlatBuffers: reading tables of a message within its bounds. All numbers are little-endian.
 * See https://flatbuffers.dev/internals/.
 */

const IDENTIFIER_BYTES = 4;
const decoder = new TextDecoder('utf-8', { fatal: true });

/** A table of a message. Fields are named by their slots, in the order of the schema. A field that is absent has its default. */
export class FlatTable {
  private constructor(
    private readonly view: DataView,
    private readonly at: number,
  ) {}

  /**
   * The root table of a message.
   * @throws Corrupt if the message has another identifier or a broken root
   */
  static root(bytes: Uint8Array, identifier: string): FlatTable {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (view.byteLength < 4 + IDENTIFIER_BYTES) throw malformed(0);
    const found = Buffer.from(bytes.buffer, bytes.byteOffset + 4, IDENTIFIER_BYTES).toString('latin1');
    if (found !== identifier) throw new Corrupt(`the file has no identifier "${identifier}" at byte 4`);
    return new FlatTable(view, reference(view, 0));
  }

  int32(slot: number): number {
    const at = this.field(slot, 4);
    return at === null ? 0 : this.view.getInt32(at, true);
  }

  text(slot: number): string {
    try {
      return decoder.decode(this.bytes(slot));
    } catch (cause) {
      if (cause instanceof Corrupt) throw cause;
      throw new Corrupt(`field ${slot} of the table at byte ${this.at} is not UTF-8`);
    }
  }

  /** A vector of bytes, in place. */
  bytes(slot: number): Uint8Array {
    const { at, length } = this.vector(slot, 1);
    return new Uint8Array(this.view.buffer, this.view.byteOffset + at, length);
  }

  /** A vector of int64, each of which must be a safe integer. */
  integers(slot: number): number[] {
    const { at, length } = this.vector(slot, 8);
    return Array.from({ length }, (_, i) => {
      const value = Number(this.view.getBigInt64(at + 8 * i, true));
      if (!Number.isSafeInteger(value)) throw malformed(at + 8 * i);
      return value;
    });
  }

  /** A vector of tables, of at most `most`. */
  tables(slot: number, most: number): FlatTable[] {
    const { at, length } = this.vector(slot, 4);
    if (length > most) throw new Corrupt(`a vector has ${length} tables; at most ${most} are allowed`);
    return Array.from({ length }, (_, i) => new FlatTable(this.view, reference(this.view, at + 4 * i)));
  }

  private vector(slot: number, elementBytes: number): { at: number; length: number } {
    const field = this.field(slot, 4);
    if (field === null) return { at: 0, length: 0 };
    const at = reference(this.view, field);
    const length = uint32(this.view, at);
    if (at + 4 + length * elementBytes > this.view.byteLength) throw malformed(at);
    return { at: at + 4, length };
  }

  /** Where the field's bytes are; null if it is absent. The table's own table of offsets may lie before or behind it. */
  private field(slot: number, byteLength: number): number | null {
    const { view, at } = this;
    if (at + 4 > view.byteLength) throw malformed(at);
    const offsets = at - view.getInt32(at, true);
    const size = uint16(view, offsets);
    const entry = 4 + 2 * slot;
    if (entry + 2 > size) return null;
    const offset = uint16(view, offsets + entry);
    if (offset === 0) return null;
    if (at + offset + byteLength > view.byteLength) throw malformed(at + offset);
    return at + offset;
  }
}

function reference(view: DataView, at: number): number {
  const target = at + uint32(view, at);
  if (target + 4 > view.byteLength) throw malformed(at);
  return target;
}

function uint32(view: DataView, at: number): number {
  if (at < 0 || at + 4 > view.byteLength) throw malformed(at);
  return view.getUint32(at, true);
}

function uint16(view: DataView, at: number): number {
  if (at < 0 || at + 2 > view.byteLength) throw malformed(at);
  return view.getUint16(at, true);
}

function malformed(at: number): Corrupt {
  return new Corrupt(`no FlatBuffers value at byte ${at}: the file is damaged`);
}
