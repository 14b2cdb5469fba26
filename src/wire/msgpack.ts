import { Corrupt } from '../errors.js';
import { MessagePackReader } from './msgpack-reader.js';
import { MessagePackWriter } from './msgpack-writer.js';

/**
 * Plain values as MessagePack: null, undefined, booleans, numbers, strings, bytes, arrays and maps with string keys. Every message is complete in
 * itself: it has no records, extensions, functions or class instances. Integers beyond 32 bits travel as float64, and undefined as
 * extension 0, the only one allowed.
 */

/** A packed value on the wire, of every plane, and how deep its arrays and maps may nest. */
const WIRE_VALUE_BYTES = 64 * 2 ** 20;
/** @internal exported for tests. */
export const WIRE_VALUE_DEPTH = 32;

const writer = new MessagePackWriter(WIRE_VALUE_DEPTH);
const reader = new MessagePackReader(WIRE_VALUE_DEPTH);

/**
 * Packs a plain value. The bytes are the caller's.
 * @throws InternalError naming the place in `value` of what cannot travel: a function, symbol, bigint, class instance, cycle, or too deep a nest.
 */
export function encode(value: unknown): Uint8Array {
  return writer.write(value);
}

/**
 * Reads one packed value, which must fill `bytes` exactly. Byte strings in it are copies. What it means is for the caller to check.
 * @throws Corrupt if the bytes are anything else, more than `WIRE_VALUE_BYTES`, or nested deeper than `WIRE_VALUE_DEPTH`.
 */
export function decode(bytes: Uint8Array): unknown {
  if (bytes.byteLength > WIRE_VALUE_BYTES) {
    throw new Corrupt(`a message of ${bytes.byteLength} bytes is over the limit of ${WIRE_VALUE_BYTES}`);
  }
  return reader.read(bytes);
}
