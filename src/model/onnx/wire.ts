import { Corrupt } from '../../errors.js';
import type { ByteSource } from './byte-source.js';

/**
 * Protobuf's wire format: iterating over fields, and encoding them.
 *
 * Values are decoded on demand. Groups, which ONNX does not use, are refused. See https://protobuf.dev/programming-guides/encoding/.
 */

/** @internal exported for tests. */
export const VARINT = 0;
const FIXED64 = 1;
/** @internal exported for tests. */
export const BYTES = 2;
/** @internal exported for tests. */
export const FIXED32 = 5;

/** A field, with byte offsets in the source. */
export interface WireField {
  readonly number: number;
  readonly wire: number;
  /** The start of its tag. */
  readonly start: number;
  /** The start of its value; for `BYTES`, after the length. */
  readonly payload: number;
  readonly end: number;
  /** The value of a varint, as a signed 64-bit number, exact up to 2^53; 0 for other wire types. */
  readonly value: number;
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/**
 * Iterates over the fields of the message at `[start, end)`.
 * @throws Corrupt if the bytes are not a protobuf message
 */
export function* fields(source: ByteSource, start = 0, end = source.length): Generator<WireField> {
  let at = start;
  while (at < end) {
    const tag = readVarint(source, at, end);
    const field = { number: Math.floor(tag.value / 8), wire: tag.value & 7, start: at };
    if (field.number < 1) throw malformed(at);
    at = tag.end;
    if (field.wire === VARINT) {
      const { value, end: next } = readVarint(source, at, end);
      yield { ...field, payload: at, end: next, value };
      at = next;
      continue;
    }
    const length = field.wire === BYTES ? readVarint(source, at, end) : fixedLength(field.wire, at);
    const next = length.end + length.value;
    if (length.value < 0 || next > end) throw malformed(field.start);
    yield { ...field, payload: length.end, end: next, value: 0 };
    at = next;
  }
}

/** Reads a string field. */
export function readText(source: ByteSource, field: WireField): string {
  return decoder.decode(source.read(field.payload, field.end));
}

/** Reads a repeated integer field, packed or not, and appends its values to `into`. */
export function readInts(source: ByteSource, field: WireField, into: number[]): void {
  if (field.wire === VARINT) {
    into.push(field.value);
    return;
  }
  for (let at = field.payload; at < field.end; ) {
    const { value, end } = readVarint(source, at, field.end);
    into.push(value);
    at = end;
  }
}

function readVarint(source: ByteSource, at: number, limit: number): { value: number; end: number } {
  const bytes = source.read(at, Math.min(at + 10, limit));
  let low = 0;
  let high = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    const shift = 7 * i;
    if (shift < 28) low |= (byte & 0x7f) << shift;
    else if (shift === 28) {
      low |= (byte & 0x0f) << 28;
      high = (byte & 0x7f) >> 4;
    } else high |= (byte & 0x7f) << (shift - 32);
    if (byte < 0x80) return { value: high * 2 ** 32 + (low >>> 0), end: at + i + 1 };
  }
  throw malformed(at);
}

function fixedLength(wire: number, at: number): { value: number; end: number } {
  if (wire === FIXED64) return { value: 8, end: at };
  if (wire === FIXED32) return { value: 4, end: at };
  throw malformed(at);
}

function malformed(at: number): Corrupt {
  return new Corrupt(`no protobuf field at byte ${at}: the file is damaged or not an ONNX model`);
}

/** Encodes an integer as a varint, negative ones in 64-bit two's complement. @internal exported for tests. */
export function varint(value: number | bigint): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}

/** Encodes an integer field. */
export function intField(number: number, value: number | bigint): Uint8Array {
  return join([varint(number * 8 + VARINT), varint(value)]);
}

/** Encodes a `float` field. */
export function floatField(number: number, value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return join([varint(number * 8 + FIXED32), bytes]);
}

/** Encodes a string, bytes or message field. */
export function bytesField(number: number, value: string | Uint8Array | readonly Uint8Array[]): Uint8Array {
  const parts = typeof value === 'string' ? [encoder.encode(value)] : value instanceof Uint8Array ? [value] : value;
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return join([bytesHeader(number, length), ...parts]);
}

/** Encodes the tag and the length of a length-delimited field. The caller writes its `length` bytes. */
export function bytesHeader(number: number, length: number): Uint8Array {
  return join([varint(number * 8 + BYTES), varint(length)]);
}

/** Concatenates byte arrays. */
export function join(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
