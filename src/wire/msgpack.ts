import { Packr, Unpackr } from 'msgpackr';
import { Corrupt, InternalError } from '../errors.js';

/**
 * Encodes and decodes values on the wire, in a subset of MessagePack.
 *
 * The subset has null, undefined, booleans, numbers, strings, bytes, arrays and maps with string keys. Every message is self-contained: no
 * records, shared structures, extensions, functions or class instances. Integers beyond 32 bits travel as float64, and undefined as
 * extension 0, the only allowed extension.
 */

/** Limit on the size of a packed value. */
const WIRE_VALUE_BYTES = 64 * 2 ** 20;
/** Limit on the nesting of arrays and maps in a packed value. @internal exported for tests. */
export const WIRE_VALUE_DEPTH = 32;

const packr = new Packr({ useRecords: false, variableMapSize: true, moreTypes: false, useToJSON: false });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, structuredClone: false, copyBuffers: true });

/**
 * Packs a plain value. The caller owns the bytes.
 * @throws InternalError with the path in `value` of an entry that cannot be encoded: a function, symbol, bigint, class instance, cycle, or
 * excessive nesting
 */
export function encode(value: unknown): Uint8Array {
  if (!isPlain(value, 0)) throw notPlain(value, []);
  return packr.pack(value);
}

/**
 * Decodes one packed value, which must fill `bytes` exactly. Byte strings in it are copies. The caller has to validate the value.
 * @throws Corrupt if the bytes are not in the subset, exceed `WIRE_VALUE_BYTES`, or nest deeper than `WIRE_VALUE_DEPTH`
 */
export function decode(bytes: Uint8Array): unknown {
  if (bytes.byteLength > WIRE_VALUE_BYTES) {
    throw new Corrupt(`a message of ${bytes.byteLength} bytes is over the limit of ${WIRE_VALUE_BYTES}`);
  }
  // The library compiles record definitions and revives extensions, so it receives only bytes that contain neither.
  const end = new Outline(bytes).valueEnd(0, 0);
  if (end !== bytes.byteLength) throw new Corrupt(`a message of ${bytes.byteLength} bytes ends after ${end}`);
  try {
    return unpackr.unpack(bytes);
  } catch (cause) {
    throw new Corrupt('a message is not MessagePack', { cause });
  }
}

function isPlain(value: unknown, depth: number): boolean {
  if (value === null || typeof value !== 'object') {
    return typeof value !== 'function' && typeof value !== 'symbol' && typeof value !== 'bigint';
  }
  if (value instanceof Uint8Array) return true;
  if (depth === WIRE_VALUE_DEPTH) return false;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) if (!isPlain(value[i], depth + 1)) return false;
    return true;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return false;
  for (const key of Object.keys(value)) {
    if (!isPlain((value as Readonly<Record<string, unknown>>)[key], depth + 1)) return false;
  }
  return true;
}

/** The error for a value that is not plain, with the path to the entry that is not. */
function notPlain(value: unknown, path: readonly (string | number)[]): InternalError {
  if (typeof value !== 'object' || value === null) return unsendable(`a ${typeof value}`, path);
  if (path.length === WIRE_VALUE_DEPTH) return unsendable(`more than ${WIRE_VALUE_DEPTH} levels`, path);
  const prototype: unknown = Object.getPrototypeOf(value);
  const isMap = !Array.isArray(value);
  if (isMap && prototype !== Object.prototype && prototype !== null) return unsendable('an instance of a class', path);
  const entries: [string | number, unknown][] = isMap ? Object.entries(value) : [...value.entries()];
  const [key, entry] = entries.find(([, item]) => !isPlain(item, path.length + 1))!;
  return notPlain(entry, [...path, key]);
}

function unsendable(what: string, path: readonly (string | number)[]): InternalError {
  return new InternalError(`cannot send ${what} at ${path.length > 0 ? path.join('.') : 'the top'} of a message`);
}

/** Finds the end of a value, and rejects bytes outside the subset. Source: the MessagePack specification, section Formats. */
class Outline {
  constructor(private readonly bytes: Uint8Array) {}

  valueEnd(at: number, depth: number): number {
    const tag = this.byte(at);
    if (tag <= 0x7f || tag >= 0xe0) return at + 1;
    if (tag <= 0x8f) return this.mapEnd(at + 1, tag & 0x0f, depth);
    if (tag <= 0x9f) return this.arrayEnd(at + 1, tag & 0x0f, depth);
    if (tag <= 0xbf) return this.skip(at + 1, tag & 0x1f);
    switch (tag) {
      case 0xc0:
      case 0xc2:
      case 0xc3:
        return at + 1;
      case 0xcc:
      case 0xd0:
        return this.skip(at + 1, 1);
      case 0xcd:
      case 0xd1:
        return this.skip(at + 1, 2);
      case 0xca:
      case 0xce:
      case 0xd2:
        return this.skip(at + 1, 4);
      case 0xcb:
        return this.skip(at + 1, 8);
      case 0xc4:
      case 0xd9:
        return this.skip(at + 2, this.byte(at + 1));
      case 0xc5:
      case 0xda:
        return this.skip(at + 3, this.uint16(at + 1));
      case 0xc6:
      case 0xdb:
        return this.skip(at + 5, this.uint32(at + 1));
      case 0xdc:
        return this.arrayEnd(at + 3, this.uint16(at + 1), depth);
      case 0xdd:
        return this.arrayEnd(at + 5, this.uint32(at + 1), depth);
      case 0xde:
        return this.mapEnd(at + 3, this.uint16(at + 1), depth);
      case 0xdf:
        return this.mapEnd(at + 5, this.uint32(at + 1), depth);
      case 0xd4:
        if (this.uint16(at + 1) === 0) return at + 3;
    }
    throw new Corrupt(`a message has format 0x${tag.toString(16)}, which is not allowed, at byte ${at}`);
  }

  private arrayEnd(at: number, items: number, depth: number): number {
    this.descend(at, items, depth);
    let end = at;
    for (let i = 0; i < items; i++) end = this.valueEnd(end, depth + 1);
    return end;
  }

  private mapEnd(at: number, entries: number, depth: number): number {
    this.descend(at, 2 * entries, depth);
    let end = at;
    for (let i = 0; i < entries; i++) {
      const tag = this.byte(end);
      const isString = (tag >= 0xa0 && tag <= 0xbf) || (tag >= 0xd9 && tag <= 0xdb);
      if (!isString) throw new Corrupt(`a message has a map key that is not a string, at byte ${end}`);
      end = this.valueEnd(this.valueEnd(end, depth + 1), depth + 1);
    }
    return end;
  }

  private descend(at: number, values: number, depth: number): void {
    if (depth === WIRE_VALUE_DEPTH) throw new Corrupt(`a message is nested deeper than ${WIRE_VALUE_DEPTH} levels`);
    this.skip(at, values);
  }

  private skip(at: number, length: number): number {
    const end = at + length;
    if (end > this.bytes.byteLength)
      throw new Corrupt(`a message ends at byte ${this.bytes.byteLength}, within a value`);
    return end;
  }

  private byte(at: number): number {
    const byte = this.bytes[at];
    if (byte === undefined) throw new Corrupt(`a message ends at byte ${at}, within a value`);
    return byte;
  }

  private uint16(at: number): number {
    return this.byte(at) * 2 ** 8 + this.byte(at + 1);
  }

  private uint32(at: number): number {
    return this.uint16(at) * 2 ** 16 + this.uint16(at + 2);
  }
}
