import { Corrupt } from '../../errors.js';

/** Blocks of LZ4 (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md), without its frames. */

const MIN_MATCH = 4;
const HASH_BITS = 14;
const LARGEST_OFFSET = 0xffff;
/** No match begins in the last bytes of a block, and the very last ones are literals: decoders rely on it. */
const NO_MATCH_BYTES = 12;
const LAST_LITERALS = 5;
/** Bytes without a match after which the search looks at every second byte, then at every third, and so on. */
const SKIP_BITS = 6;
/** Up to this many bytes, a loop is faster than a view. */
const SHORT_COPY = 32;

/** Grows by nothing: has the length that the worst input needs. */
class Writer {
  private readonly into: Uint8Array;
  private at = 0;

  constructor(private readonly from: Uint8Array) {
    this.into = new Uint8Array(from.length + Math.ceil(from.length / 255) + 16);
  }

  /** Literals `[start, end)`, then a match. */
  sequence(start: number, end: number, length: number, offset: number): void {
    const extra = length - MIN_MATCH;
    this.literals(start, end, Math.min(extra, 15));
    this.into[this.at++] = offset & 0xff;
    this.into[this.at++] = offset >>> 8;
    if (extra >= 15) this.length(extra - 15);
  }

  /** Literals `[start, end)`, which end a block if no match follows. */
  literals(start: number, end: number, nibble = 0): void {
    const count = end - start;
    this.into[this.at++] = (Math.min(count, 15) << 4) | nibble;
    if (count >= 15) this.length(count - 15);
    copy(this.from, start, end, this.into, this.at);
    this.at += count;
  }

  finish(): Uint8Array {
    return this.into.subarray(0, this.at);
  }

  private length(rest: number): void {
    let left = rest;
    for (; left >= 255; left -= 255) this.into[this.at++] = 255;
    this.into[this.at++] = left;
  }
}

export function compressLz4(from: Uint8Array): Uint8Array {
  const writer = new Writer(from);
  const view = new DataView(from.buffer, from.byteOffset, from.byteLength);
  /** Where four bytes were last, plus 1. */
  const places = new Int32Array(1 << HASH_BITS);
  let anchor = 0;
  let searched = 0;
  for (let at = 0; at <= from.length - NO_MATCH_BYTES; ) {
    const four = view.getUint32(at, true);
    const hash = Math.imul(four, 2654435761) >>> (32 - HASH_BITS);
    const candidate = places[hash]! - 1;
    places[hash] = at + 1;
    if (candidate < 0 || at - candidate > LARGEST_OFFSET || view.getUint32(candidate, true) !== four) {
      at += 1 + (searched++ >>> SKIP_BITS);
      continue;
    }
    const most = from.length - LAST_LITERALS - at;
    let length = MIN_MATCH;
    while (length < most && from[candidate + length] === from[at + length]) length++;
    writer.sequence(anchor, at, length, at - candidate);
    at += length;
    anchor = at;
    searched = 0;
  }
  writer.literals(anchor, from.length);
  return writer.finish();
}

/** @param bytes how many must come out. @throws Corrupt if the block has others */
export function decompressLz4(from: Uint8Array, bytes: number): Uint8Array {
  const into = new Uint8Array(bytes);
  let [read, written] = [0, 0];
  const lengthFrom = (nibble: number): number => {
    let length = nibble;
    for (let more = nibble === 15; more; ) {
      const byte = from[read++];
      if (byte === undefined) throw corrupt();
      length += byte;
      more = byte === 255;
    }
    return length;
  };
  for (;;) {
    const token = from[read++];
    if (token === undefined) throw corrupt();
    const literals = lengthFrom(token >>> 4);
    if (literals > from.length - read || literals > bytes - written) throw corrupt();
    copy(from, read, read + literals, into, written);
    read += literals;
    written += literals;
    if (read === from.length) break;
    const offset = from[read++]! | ((from[read++] ?? 0) << 8);
    const length = lengthFrom(token & 15) + MIN_MATCH;
    if (offset === 0 || offset > written || length > bytes - written || read > from.length) throw corrupt();
    // A match may overlap its own output.
    for (let i = 0; i < length; i++, written++) into[written] = into[written - offset]!;
  }
  if (written !== bytes) throw corrupt();
  return into;
}

function copy(from: Uint8Array, start: number, end: number, into: Uint8Array, at: number): void {
  if (end - start > SHORT_COPY) into.set(from.subarray(start, end), at);
  else for (let i = start, to = at; i < end; i++, to++) into[to] = from[i]!;
}

function corrupt(): Corrupt {
  return new Corrupt('the LZ4 block of a tensor is damaged, or has another length than its header says');
}
