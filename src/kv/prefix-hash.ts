import { createHash } from 'node:crypto';

/** Hashes and comparisons of prefixes. */

/** A prompt, as text, as token IDs, or as the key of its last block in hex (docs/KEYS.md). These are never the same prefix. */
export type KVPrefix = string | readonly number[] | { readonly key: string };

/** Tokens between two prefixes that a look for the longest one tries. */
const STEP_TOKENS = 64;

/** SHA-256 of a prefix, in hex. */
export function prefixHash(prefix: KVPrefix): string {
  return createHash('sha256').update(spelled(prefix)).digest('hex');
}

function spelled(prefix: KVPrefix): string {
  if (typeof prefix === 'string') return `text\0${prefix}`;
  return isKey(prefix) ? `key\0${prefix.key}` : `tokens\0${JSON.stringify(prefix)}`;
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
 * a common beginning alone. 1 for two empty prefixes; 0 for prefixes of two kinds, and for two keys that differ.
 */
export function prefixSimilarity(a: KVPrefix, b: KVPrefix): number {
  if (isKey(a) || isKey(b)) return isKey(a) && isKey(b) && a.key === b.key ? 1 : 0;
  if (typeof a !== typeof b) return 0;
  const longer = Math.max(a.length, b.length);
  if (longer === 0) return 1;
  let common = 0;
  while (common < a.length && common < b.length && a[common] === b[common]) common++;
  return common / longer;
}

function isKey(prefix: KVPrefix): prefix is { readonly key: string } {
  return typeof prefix !== 'string' && 'key' in prefix;
}
