/** Sets of Unicode code points, as ascending ranges that neither touch nor overlap. */

export type CharRange = readonly [first: number, last: number];
export type CharSet = readonly CharRange[];

const LAST_CHAR = 0x10ffff;
/** Code points that no text has by itself. */
const SURROGATES: CharRange = [0xd800, 0xdfff];

/** All code points that a text may have. */
export const ANY_CHAR: CharSet = complement([SURROGATES]);

export function setOf(text: string): CharSet {
  return union([...text].map((character): CharRange => [character.codePointAt(0)!, character.codePointAt(0)!]));
}

/** The set of these ranges, in any order. */
export function union(ranges: readonly CharRange[]): CharSet {
  const merged: [number, number][] = [];
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const before = merged.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else merged.push([first, last]);
  }
  return merged;
}

function complement(set: CharSet): CharSet {
  const rest: CharRange[] = [];
  let next = 0;
  for (const [first, last] of set) {
    if (first > next) rest.push([next, first - 1]);
    next = last + 1;
  }
  if (next <= LAST_CHAR) rest.push([next, LAST_CHAR]);
  return rest;
}

/** The code points that are in both sets. */
export function intersection(a: CharSet, b: CharSet): CharSet {
  const common: CharRange[] = [];
  for (const [first, last] of a) {
    for (const [from, to] of b)
      if (from <= last && to >= first) common.push([Math.max(first, from), Math.min(last, to)]);
  }
  return common;
}

/** The code points of texts that are not in the set. */
export function except(set: CharSet): CharSet {
  return intersection(complement(set), ANY_CHAR);
}

/** Ranges of bytes, one after another, that encode some of a set's code points in UTF-8. */
export type ByteSequence = readonly CharRange[];

/** The UTF-8 encodings of a set: every one is matched by exactly one of the sequences. */
export function utf8Sequences(set: CharSet): ByteSequence[] {
  return intersection(set, ANY_CHAR).flatMap(([first, last]) => ofRange(first, last));
}

/** The last code points with encodings of one to four bytes. */
const LAST_OF_LENGTH = [0x7f, 0x7ff, 0xffff, LAST_CHAR];

function ofRange(first: number, last: number): ByteSequence[] {
  for (const end of LAST_OF_LENGTH) {
    if (first <= end && last > end) return [...ofRange(first, end), ...ofRange(end + 1, last)];
  }
  if (last <= LAST_OF_LENGTH[0]!) return [[[first, last]]];
  // Split until all but the first bytes that differ range over all continuation bytes.
  for (let bits = 6; bits <= 18; bits += 6) {
    const mask = (1 << bits) - 1;
    if ((first & ~mask) === (last & ~mask)) continue;
    if ((first & mask) !== 0) return [...ofRange(first, first | mask), ...ofRange((first | mask) + 1, last)];
    if ((last & mask) !== mask) return [...ofRange(first, (last & ~mask) - 1), ...ofRange(last & ~mask, last)];
  }
  const [low, high] = [encode(first), encode(last)];
  return [low.map((byte, i): CharRange => [byte, high[i]!])];
}

function encode(codePoint: number): number[] {
  if (codePoint <= 0x7f) return [codePoint];
  const tail: number[] = [];
  let rest = codePoint;
  const length = codePoint <= 0x7ff ? 2 : codePoint <= 0xffff ? 3 : 4;
  for (let i = 1; i < length; i++) {
    tail.unshift(0x80 | (rest & 0x3f));
    rest >>= 6;
  }
  return [((0xf00 >> length) & 0xff) | rest, ...tail];
}
