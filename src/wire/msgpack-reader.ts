import { Corrupt } from '../errors.js';

/** Reads one MessagePack value of the subset that `msgpack.ts` describes. Source: the MessagePack specification, section Formats. */

/** Limit on the nesting of arrays and maps in a packed value. */
export const WIRE_VALUE_DEPTH = 32;

/** Strings of ASCII up to this length are looked up among the latest ones: a fleet says the same names and IDs again and again. */
const KNOWN_CHARS = 64;
/** Slots for those strings: as many as the upper bits of a hash can name. */
const KNOWN_SHIFT = 20;
const known: string[] = new Array(2 ** (32 - KNOWN_SHIFT)).fill('');

const double = new Float64Array(1);
const doubleBytes = new Uint8Array(double.buffer);
const single = new Float32Array(1);
const singleBytes = new Uint8Array(single.buffer);
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** Reads values one after another. Rejects bytes outside the subset, and counts that the bytes cannot hold, before it allocates memory for them. */
export class MsgpackReader {
  /** Offset of the next value. */
  at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  /** @throws Corrupt if the next bytes are not a value of the subset, or nest too deep */
  value(depth = 0): unknown {
    const tag = this.byte();
    if (tag <= 0x7f) return tag;
    if (tag >= 0xe0) return tag - 0x100;
    if (tag <= 0x8f) return this.map(tag & 0x0f, depth);
    if (tag <= 0x9f) return this.array(tag & 0x0f, depth);
    if (tag <= 0xbf) return this.string(tag & 0x1f);
    switch (tag) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.binary(this.byte());
      case 0xc5:
        return this.binary(this.uint16());
      case 0xc6:
        return this.binary(this.uint32());
      case 0xd9:
        return this.string(this.byte());
      case 0xda:
        return this.string(this.uint16());
      case 0xdb:
        return this.string(this.uint32());
      case 0xdc:
        return this.array(this.uint16(), depth);
      case 0xdd:
        return this.array(this.uint32(), depth);
      case 0xde:
        return this.map(this.uint16(), depth);
      case 0xdf:
        return this.map(this.uint32(), depth);
      default:
        return this.scalar(tag);
    }
  }

  private scalar(tag: number): number | undefined {
    switch (tag) {
      case 0xca:
        return this.float32();
      case 0xcb:
        return this.float64();
      case 0xcc:
        return this.byte();
      case 0xcd:
        return this.uint16();
      case 0xce:
        return this.uint32();
      case 0xd0:
        return (this.byte() << 24) >> 24;
      case 0xd1:
        return (this.uint16() << 16) >> 16;
      case 0xd2:
        return this.uint32() | 0;
      case 0xd4:
        if (this.uint16() === 0) return undefined;
        this.at -= 2;
    }
    throw new Corrupt(`a message has format 0x${tag.toString(16)}, which is not allowed, at byte ${this.at - 1}`);
  }

  private array(items: number, depth: number): unknown[] {
    this.descend(items, depth);
    const array: unknown[] = [];
    for (let i = 0; i < items; i++) array.push(this.value(depth + 1));
    return array;
  }

  private map(entries: number, depth: number): Record<string, unknown> {
    this.descend(2 * entries, depth);
    const map: Record<string, unknown> = {};
    for (let i = 0; i < entries; i++) {
      const key = this.key();
      // An assignment to `__proto__` would replace the prototype.
      map[key === '__proto__' ? '__proto_' : key] = this.value(depth + 1);
    }
    return map;
  }

  private key(): string {
    const tag = this.byte();
    if (tag >= 0xa0 && tag <= 0xbf) return this.string(tag & 0x1f);
    if (tag === 0xd9) return this.string(this.byte());
    if (tag === 0xda) return this.string(this.uint16());
    if (tag === 0xdb) return this.string(this.uint32());
    throw new Corrupt(`a message has a map key that is not a string, at byte ${this.at - 1}`);
  }

  private string(length: number): string {
    const from = this.skip(length);
    if (length > KNOWN_CHARS) return utf8.decode(this.bytes.subarray(from, this.at));
    const slot = slotOf(this.bytes, from, length);
    const last = known[slot]!;
    if (isAt(last, this.bytes, from, length)) return last;
    const text = utf8.decode(this.bytes.subarray(from, this.at));
    // Of other texts, units and bytes differ.
    if (isAt(text, this.bytes, from, length)) known[slot] = asKey(text);
    return text;
  }

  /** A copy, because the memory of the message may be used again. */
  private binary(length: number): Uint8Array {
    const from = this.skip(length);
    const copy = new Uint8Array(length);
    copy.set(this.bytes.subarray(from, this.at));
    return copy;
  }

  private descend(values: number, depth: number): void {
    if (depth === WIRE_VALUE_DEPTH) throw new Corrupt(`a message is nested deeper than ${WIRE_VALUE_DEPTH} levels`);
    if (this.at + values > this.bytes.byteLength) throw this.cut(this.bytes.byteLength);
  }

  /** Passes over bytes. Returns the offset of the first. */
  private skip(length: number): number {
    const { at } = this;
    if (at + length > this.bytes.byteLength) throw this.cut(this.bytes.byteLength);
    this.at = at + length;
    return at;
  }

  private byte(): number {
    const byte = this.bytes[this.at];
    if (byte === undefined) throw this.cut(this.at);
    this.at++;
    return byte;
  }

  private uint16(): number {
    return this.byte() * 2 ** 8 + this.byte();
  }

  private uint32(): number {
    return this.uint16() * 2 ** 16 + this.uint16();
  }

  private float64(): number {
    const from = this.skip(8);
    for (let i = 0; i < 8; i++) doubleBytes[IS_LITTLE_ENDIAN ? 7 - i : i] = this.bytes[from + i]!;
    return double[0]!;
  }

  private float32(): number {
    const from = this.skip(4);
    for (let i = 0; i < 4; i++) singleBytes[IS_LITTLE_ENDIAN ? 3 - i : i] = this.bytes[from + i]!;
    return single[0]!;
  }

  private cut(at: number): Corrupt {
    return new Corrupt(`a message ends at byte ${at}, within a value`);
  }
}

const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** The slot of a string, by its length and a few of its bytes. */
function slotOf(bytes: Uint8Array, from: number, length: number): number {
  if (length === 0) return 0;
  const ends = Math.imul(bytes[from]!, 31) + bytes[from + length - 1]!;
  const inner = Math.imul(bytes[from + (length >> 1)]!, 31) + bytes[from + (length >> 2)]!;
  return (Math.imul(Math.imul(length, 31) + ends, 0x9e3779b1) + Math.imul(inner, 0x85ebca6b)) >>> KNOWN_SHIFT;
}

/** The same text in the form in which V8 keeps names of properties. It would look for that form at each use of another as a key. */
function asKey(text: string): string {
  return Object.keys({ [text]: null })[0] ?? text;
}

/** Whether each unit of the text is the byte at its place: the text is ASCII, and the one that begins at an offset of the bytes. */
function isAt(text: string, bytes: Uint8Array, from: number, length: number): boolean {
  if (text.length !== length) return false;
  for (let i = 0; i < length; i++) if (text.charCodeAt(i) !== bytes[from + i]) return false;
  return true;
}
