import { InternalError } from '../errors.js';

/** Writes plain values as MessagePack. Source: the MessagePack specification, section Formats. */

/** Memory that a writer keeps between values, and the most that it keeps after a large one. */
const FIRST_BYTES = 16 * 1024;
const KEPT_BYTES = 1024 * 1024;
/** A string of so many characters is copied here where it is ASCII; a call of the engine costs more. */
const SHORT_CHARS = 40;

export class MessagePackWriter {
  private memory = Buffer.allocUnsafeSlow(FIRST_BYTES);
  private at = 0;
  /** Keys and indexes that lead to the value that is being written. */
  private readonly path: (string | number)[] = [];

  constructor(private readonly maxDepth: number) {}

  /** @throws InternalError naming the place of what is not a plain value, or nested deeper than `maxDepth`. */
  write(value: unknown): Uint8Array {
    this.at = 0;
    this.value(value, 0);
    const packed = Buffer.allocUnsafe(this.at);
    this.memory.copy(packed, 0, 0, this.at);
    if (this.memory.byteLength > KEPT_BYTES) this.memory = Buffer.allocUnsafeSlow(FIRST_BYTES);
    return packed;
  }

  private value(value: unknown, depth: number): void {
    if (typeof value === 'string') this.text(value);
    else if (typeof value === 'number') this.number(value);
    else if (typeof value === 'boolean') this.byte(value ? 0xc3 : 0xc2);
    else if (value === null) this.byte(0xc0);
    else if (value === undefined) this.nothing();
    else if (typeof value === 'object') this.object(value, depth);
    else throw this.unsendable(`a ${typeof value}`, depth);
  }

  private object(value: object, depth: number): void {
    if (value instanceof Uint8Array) {
      this.bytes(value);
      return;
    }
    if (depth === this.maxDepth) throw this.unsendable(`more than ${this.maxDepth} levels`, depth);
    if (Array.isArray(value)) {
      this.array(value, depth);
      return;
    }
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) throw this.unsendable('an instance of a class', depth);
    this.map(value as Readonly<Record<string, unknown>>, depth);
  }

  /** Undefined, as extension 0 of one byte. */
  private nothing(): void {
    this.room(3);
    this.put(0xd4);
    this.put(0);
    this.put(0);
  }

  private array(items: readonly unknown[], depth: number): void {
    this.head(items.length, 0x90, 0x0f, 0xdc);
    for (let i = 0; i < items.length; i++) {
      this.path[depth] = i;
      this.value(items[i], depth + 1);
    }
  }

  private map(fields: Readonly<Record<string, unknown>>, depth: number): void {
    const keys = Object.keys(fields);
    this.head(keys.length, 0x80, 0x0f, 0xde);
    for (const key of keys) {
      this.path[depth] = key;
      this.text(key);
      this.value(fields[key], depth + 1);
    }
  }

  private text(text: string): void {
    if (text.length <= SHORT_CHARS && this.ascii(text)) return;
    const length = Buffer.byteLength(text);
    if (length > 0x1f && length <= 0xff) this.tagged(0xd9, length, 1);
    else this.head(length, 0xa0, 0x1f, 0xda);
    this.room(length);
    this.at += this.memory.write(text, this.at, length, 'utf8');
  }

  /** Writes a short text if all of it is ASCII. False, and nothing is written, if it is not. */
  private ascii(text: string): boolean {
    const { length } = text;
    this.room(2 + length);
    const { memory } = this;
    let at = this.at;
    if (length > 0x1f) memory[at++] = 0xd9;
    memory[at++] = length > 0x1f ? length : 0xa0 | length;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0x7f) return false;
      memory[at++] = code;
    }
    this.at = at;
    return true;
  }

  private bytes(bytes: Uint8Array): void {
    const { byteLength } = bytes;
    if (byteLength <= 0xff) this.tagged(0xc4, byteLength, 1);
    else if (byteLength <= 0xffff) this.tagged(0xc5, byteLength, 2);
    else this.tagged(0xc6, byteLength, 4);
    this.room(byteLength);
    this.memory.set(bytes, this.at);
    this.at += byteLength;
  }

  private number(value: number): void {
    if (value >>> 0 === value) {
      if (value <= 0x7f) this.byte(value);
      else if (value <= 0xff) this.tagged(0xcc, value, 1);
      else if (value <= 0xffff) this.tagged(0xcd, value, 2);
      else this.tagged(0xce, value, 4);
    } else if (value >> 0 === value) {
      if (value >= -0x20) this.byte(value & 0xff);
      else if (value >= -0x80) this.tagged(0xd0, value, 1);
      else if (value >= -0x8000) this.tagged(0xd1, value, 2);
      else this.tagged(0xd2, value, 4);
    } else {
      this.float64(value);
    }
  }

  private float64(value: number): void {
    this.room(9);
    this.put(0xcb);
    this.at = this.memory.writeDoubleBE(value, this.at);
  }

  /** The head of an array, map or string: its length within a tag of one byte, or behind a tag in 16 or 32 bits. */
  private head(length: number, short: number, shortMost: number, tag16: number): void {
    if (length <= shortMost) this.byte(short | length);
    else if (length <= 0xffff) this.tagged(tag16, length, 2);
    else this.tagged(tag16 + 1, length, 4);
  }

  private byte(byte: number): void {
    this.room(1);
    this.put(byte);
  }

  /** A tag, and a number of so many bytes, the highest first. */
  private tagged(tag: number, value: number, bytes: 1 | 2 | 4): void {
    this.room(5);
    this.put(tag);
    if (bytes === 4) {
      this.put(value >>> 24);
      this.put((value >>> 16) & 0xff);
    }
    if (bytes >= 2) this.put((value >>> 8) & 0xff);
    this.put(value & 0xff);
  }

  private put(byte: number): void {
    this.memory[this.at++] = byte;
  }

  private room(bytes: number): void {
    if (this.at + bytes <= this.memory.byteLength) return;
    const larger = Buffer.allocUnsafeSlow(2 * (this.at + bytes));
    this.memory.copy(larger, 0, 0, this.at);
    this.memory = larger;
  }

  private unsendable(what: string, depth: number): InternalError {
    const where = depth > 0 ? this.path.slice(0, depth).join('.') : 'the top';
    return new InternalError(`cannot send ${what} at ${where} of a message`);
  }
}
