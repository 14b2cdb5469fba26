/** Patterns of keys, as Redis has them: `*`, `?`, `[abc]`, `[^a]`, `[a-z]`, and `\` before a character that means itself. */

const STAR = 42;
const QUESTION = 63;
const OPEN = 91;
const CLOSE = 93;
const CARET = 94;
const DASH = 45;
const BACKSLASH = 92;

/**
 * Whether a key matches a pattern. Takes at most the product of both lengths: after a mismatch only the last star before it is tried again, since
 * the match of a later star does not depend on earlier ones.
 */
export function matches(pattern: Buffer, key: Buffer): boolean {
  let p = 0;
  let k = 0;
  let afterStar = -1;
  let starKey = 0;
  while (k < key.byteLength) {
    if (pattern[p] === STAR) {
      afterStar = ++p;
      starKey = k;
      continue;
    }
    const next = p < pattern.byteLength ? single(pattern, p, key[k]!) : -1;
    if (next !== -1) {
      p = next;
      k++;
      continue;
    }
    if (afterStar === -1) return false;
    p = afterStar;
    k = ++starKey;
  }
  while (pattern[p] === STAR) p++;
  return p === pattern.byteLength;
}

/** The place behind the element at `p` if it matches a byte; -1 if it does not. */
function single(pattern: Buffer, p: number, byte: number): number {
  const element = pattern[p]!;
  if (element === QUESTION) return p + 1;
  if (element === BACKSLASH && p + 1 < pattern.byteLength) return pattern[p + 1] === byte ? p + 2 : -1;
  if (element === OPEN) return oneOf(pattern, p + 1, byte);
  return element === byte ? p + 1 : -1;
}

function oneOf(pattern: Buffer, from: number, byte: number): number {
  let p = from;
  const negated = pattern[p] === CARET;
  if (negated) p++;
  let found = false;
  for (; p < pattern.byteLength && pattern[p] !== CLOSE; p++) {
    if (pattern[p] === BACKSLASH && p + 1 < pattern.byteLength) {
      if (pattern[++p] === byte) found = true;
    } else if (pattern[p + 1] === DASH && p + 2 < pattern.byteLength && pattern[p + 2] !== CLOSE) {
      const [low, high] = [pattern[p]!, pattern[p + 2]!].sort((a, b) => a - b) as [number, number];
      if (byte >= low && byte <= high) found = true;
      p += 2;
    } else if (pattern[p] === byte) found = true;
  }
  if (found === negated) return -1;
  return Math.min(p + 1, pattern.byteLength);
}
