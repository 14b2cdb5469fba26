import { createHash } from 'node:crypto';

/** Hashes and comparisons of prefixes. */

/** A prompt, as text or as token IDs. Text and tokens are never the same prefix. */
export type KVPrefix = string | readonly number[];

/** Tokens between two prefixes that a look for the longest one tries. */
const STEP_TOKENS = 64;

/** SHA-256 of a prefix, in hex. */
export function prefixHash(prefix: KVPrefix): string {
  const hash = createHash('sha256').update(typeof prefix === 'string' ? 'text\0' : 'tokens\0');
  return hash.update(typeof prefix === 'string' ? prefix : JSON.stringify(prefix)).digest('hex');
}

/** The hashes of the beginnings of a prompt whose lengths are multiples of `STEP_TOKENS`, and of the whole prompt; the longest last. */
export function beginningsOf(tokens: readonly number[]): { readonly tokens: number; readonly hash: string }[] {
  // As `prefixHash` of each, without hashing any token twice.
  const hash = createHash('sha256').update('tokens\0[');
  const found = [];
  for (let at = 0; at < tokens.length; at += STEP_TOKENS) {
    const end = Math.min(tokens.length, at + STEP_TOKENS);
    hash.update(`${at > 0 ? ',' : ''}${tokens.slice(at, end).join(',')}`);
    found.push({ tokens: end, hash: hash.copy().update(']').digest('hex') });
  }
  return found;
}

/**
 * How much of the longer of two prefixes their common beginning is: from 0 to 1, counted in tokens or in UTF-16 units. K/V can be shared for
 * a common beginning alone. 1 for two empty prefixes; 0 for a text and tokens.
 */
export function prefixSimilarity(a: KVPrefix, b: KVPrefix): number {
  if (typeof a !== typeof b) return 0;
  const longer = Math.max(a.length, b.length);
  if (longer === 0) return 1;
  let common = 0;
  while (common < a.length && common < b.length && a[common] === b[common]) common++;
  return common / longer;
}
