/**
 * Guesses the next tokens of a sequence: those that followed the same tokens earlier in its prompt or its answer. Documents, code and conversations are
 * quoted again and again. The method is prompt lookup decoding (Saxena, 2023).
 */

/** Tokens that must be the same: fewer match by chance. */
const LEAST_MATCH_TOKENS = 3;
/** A longer match is a better one, up to this many tokens. */
const LONGEST_MATCH_TOKENS = 16;
/** How far back a match is sought, and how many places are compared: what bounds the time of one guess. */
const LOOKBACK_TOKENS = 32_768;
const PLACES = 256;

/**
 * The tokens after the longest match with the end of `tokens`, at most `most` of them; of several, after the latest. A view of `tokens`, empty without
 * a match.
 */
export function lookedUp(tokens: Uint32Array, most: number): Uint32Array {
  const end = tokens.length;
  if (most <= 0) return tokens.subarray(end);
  const from = Math.max(0, end - LOOKBACK_TOKENS);
  let best = end;
  let bestLength = LEAST_MATCH_TOKENS - 1;
  let at = end - 1;
  for (let place = 0; place < PLACES && bestLength < LONGEST_MATCH_TOKENS && at > from; place++) {
    at = tokens.lastIndexOf(tokens[end - 1]!, at - 1);
    if (at < from) break;
    const length = matchLength(tokens, at, from);
    if (length <= bestLength) continue;
    best = at + 1;
    bestLength = length;
  }
  return tokens.subarray(best, Math.min(best + most, end));
}

/** How many tokens up to and with `at` are those at the end, not counting further back than `from`. */
function matchLength(tokens: Uint32Array, at: number, from: number): number {
  const last = tokens.length - 1;
  let length = 0;
  while (length < LONGEST_MATCH_TOKENS && at - length >= from && tokens[at - length] === tokens[last - length])
    length++;
  return length;
}
