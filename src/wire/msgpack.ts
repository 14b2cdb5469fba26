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
  checkPlain(value, 0, []);
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

function checkPlain(value: unknown, depth: number, path: (string | number)[]): void {
  if (value === null || typeof value !== 'object') {
    if (typeof value === 'function' || typeof value === 'symbol' || typeof value === 'bigint') {
      throw unsendable(`a ${typeof value}`, path);
    }
    return;
  }
  if (value instanceof Uint8Array) return;
  if (depth === WIRE_VALUE_DEPTH) throw unsendable(`more than ${WIRE_VALUE_DEPTH} levels`, path);
  if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) checkEntry(item, depth, path, i);
    return;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) throw unsendable('an instance of a class', path);
  for (const [key, item] of Object.entries(value)) checkEntry(item, depth, path, key);
}

function checkEntry(value: unknown, depth: number, path: (string | number)[], key: string | number): void {
  path.push(key);
  checkPlain(value, depth + 1, path);
  path.pop();
}

function unsendable(what: string, path: readonly (string | number)[]): InternalError {
  return new InternalError(`cannot send ${what} at ${path.length > 0 ? path.join('.') : 'the top'} of a message`);
}

/** Finds the end of a value, and rejects bytes outside the subset. Source: the MessagePack specification, section Formats. */
class Outline {
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

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
    this.skip(at, 1);
    return this.view.getUint8(at);
  }

  private uint16(at: number): number {
    this.skip(at, 2);
    return this.view.getUint16(at);
  }

  private uint32(at: number): number {
    this.skip(at, 4);
    return this.view.getUint32(at);
  }
}
