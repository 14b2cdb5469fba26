import { Packr } from 'msgpackr';
import { Corrupt, InternalError } from '../errors.js';
import { MsgpackReader, WIRE_VALUE_DEPTH } from './msgpack-reader.js';

/**
 * Encodes and decodes values on the wire, in a subset of MessagePack.
 *
 * The subset has null, undefined, booleans, numbers, strings, bytes, arrays and maps with string keys. Every message is self-contained: no
 * records, shared structures, extensions, functions or class instances. Integers beyond 32 bits travel as float64, and undefined as
 * extension 0, the only allowed extension.
 */

/** Limit on the size of a packed value. */
export const WIRE_VALUE_BYTES = 64 * 2 ** 20;

const packr = new Packr({ useRecords: false, variableMapSize: true, moreTypes: false, useToJSON: false });

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
  const reader = new MsgpackReader(bytes);
  const value = reader.value();
  if (reader.at !== bytes.byteLength)
    throw new Corrupt(`a message of ${bytes.byteLength} bytes ends after ${reader.at}`);
  return value;
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
