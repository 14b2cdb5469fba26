import { Corrupt } from '../errors.js';

/** Reads plain values out of MessagePack, and refuses all else. Source: the MessagePack specification, section Formats. */

/** Short strings that a reader knows: names of fields, methods and nodes, which most messages repeat. */
const KNOWN_TEXTS = 1024;
const SHORT_BYTES = 32;

const EMPTY = Buffer.alloc(0);

interface KnownText {
  readonly bytes: Uint8Array;
  readonly text: string;
}

export class MessagePackReader {
  private bytes: Buffer = EMPTY;
  private at = 0;
  private readonly known = new Array<KnownText | undefined>(KNOWN_TEXTS).fill(undefined);

  constructor(private readonly maxDepth: number) {}

  /** @throws Corrupt if the bytes are not exactly one plain value, nested at most `maxDepth` deep. */
  read(bytes: Uint8Array): unknown {
    this.bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
    try {
      const value = this.value(0);
      if (this.at !== bytes.byteLength) {
        throw new Corrupt(`a message of ${bytes.byteLength} bytes ends after ${this.at}`);
      }
      return value;
    } finally {
      this.bytes = EMPTY;
    }
  }

  private value(depth: number): unknown {
    const tag = this.uint8();
    if (tag <= 0x7f) return tag;
    if (tag <= 0x8f) return this.map(tag & 0x0f, depth);
    if (tag <= 0x9f) return this.array(tag & 0x0f, depth);
    if (tag <= 0xbf) return this.text(tag & 0x1f);
    if (tag >= 0xe0) return tag - 0x100;
    switch (tag) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.byteString(this.uint8());
      case 0xc5:
        return this.byteString(this.uint16());
      case 0xc6:
        return this.byteString(this.uint32());
      case 0xd4:
        if (this.uint16() === 0) return undefined;
        break;
      case 0xd9:
        return this.text(this.uint8());
      case 0xda:
        return this.text(this.uint16());
      case 0xdb:
        return this.text(this.uint32());
      case 0xdc:
        return this.array(this.uint16(), depth);
      case 0xdd:
        return this.array(this.uint32(), depth);
      case 0xde:
        return this.map(this.uint16(), depth);
      case 0xdf:
        return this.map(this.uint32(), depth);
      default:
        return this.number(tag);
    }
    throw this.notAllowed(tag);
  }

  private number(tag: number): number {
    switch (tag) {
      case 0xca:
        return this.bytes.readFloatBE(this.take(4));
      case 0xcb:
        return this.bytes.readDoubleBE(this.take(8));
      case 0xcc:
        return this.uint8();
      case 0xcd:
        return this.uint16();
      case 0xce:
        return this.uint32();
      case 0xd0:
        return (this.uint8() << 24) >> 24;
      case 0xd1:
        return (this.uint16() << 16) >> 16;
      case 0xd2:
        return this.uint32() | 0;
      default:
        throw this.notAllowed(tag);
    }
  }

  private array(length: number, depth: number): unknown[] {
    this.descend(length, depth);
    const items: unknown[] = [];
    for (let i = 0; i < length; i++) items.push(this.value(depth + 1));
    return items;
  }

  private map(length: number, depth: number): Record<string, unknown> {
    this.descend(2 * length, depth);
    const fields: Record<string, unknown> = {};
    for (let i = 0; i < length; i++) {
      const key = this.key();
      fields[key] = this.value(depth + 1);
    }
    return fields;
  }

  private key(): string {
    const at = this.at;
    const tag = this.uint8();
    let key: string;
    if (tag >= 0xa0 && tag <= 0xbf) key = this.text(tag & 0x1f);
    else if (tag === 0xd9) key = this.text(this.uint8());
    else if (tag === 0xda) key = this.text(this.uint16());
    else if (tag === 0xdb) key = this.text(this.uint32());
    else throw new Corrupt(`a message has a map key that is not a string, at byte ${at}`);
    // An assignment to this key would replace the prototype.
    return key === '__proto__' ? '__proto_' : key;
  }

  private text(length: number): string {
    const from = this.take(length);
    if (length > SHORT_BYTES) return this.bytes.toString('utf8', from, from + length);
    return length === 0 ? '' : this.shortText(from, length);
  }

  /** Gives the string that was made of the same bytes before, if it is known. */
  private shortText(from: number, length: number): string {
    const { bytes } = this;
    let hash = length;
    for (let i = 0; i < length; i++) hash = (Math.imul(hash, 31) + bytes[from + i]!) | 0;
    const place = (hash ^ (hash >>> 16)) & (KNOWN_TEXTS - 1);
    const known = this.known[place];
    if (known !== undefined && isAt(bytes, from, length, known.bytes)) return known.text;
    const text = bytes.toString('utf8', from, from + length);
    this.known[place] = { bytes: Uint8Array.prototype.slice.call(bytes, from, from + length), text };
    return text;
  }

  /** A copy in memory of its own. */
  private byteString(length: number): Uint8Array {
    const from = this.take(length);
    return Uint8Array.prototype.slice.call(this.bytes, from, from + length);
  }

  private descend(values: number, depth: number): void {
    if (depth === this.maxDepth) throw new Corrupt(`a message is nested deeper than ${this.maxDepth} levels`);
    // Each value has at least one byte.
    if (values > this.bytes.byteLength - this.at) throw this.endsWithin();
  }

  private uint8(): number {
    return this.bytes[this.take(1)]!;
  }

  private uint16(): number {
    const at = this.take(2);
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!;
  }

  private uint32(): number {
    return this.uint16() * 0x10000 + this.uint16();
  }

  /** Moves on by so many bytes. Gives the place of the first. */
  private take(length: number): number {
    const from = this.at;
    if (length > this.bytes.byteLength - from) throw this.endsWithin();
    this.at = from + length;
    return from;
  }

  private endsWithin(): Corrupt {
    return new Corrupt(`a message ends at byte ${this.bytes.byteLength}, within a value`);
  }

  private notAllowed(tag: number): Corrupt {
    return new Corrupt(`a message has format 0x${tag.toString(16)}, which is not allowed, before byte ${this.at}`);
  }
}

function isAt(bytes: Uint8Array, from: number, length: number, wanted: Uint8Array): boolean {
  if (wanted.length !== length) return false;
  for (let i = 0; i < length; i++) if (bytes[from + i] !== wanted[i]) return false;
  return true;
}
