import { blockKeys, rootSeed } from '../../src/core/key.js';
import { BLOCK_TOKENS } from '../../src/limits.js';

/**
 * The model of the simulation. K and V of a token are functions of all tokens up to it, and the next token is a function of all K and V before
 * it: one wrong bit anywhere in a prefix gives other tokens.
 */

export const VOCAB = 64;
/** A prompt with this token crashes the worker that computes it. Never generated. */
export const POISON_TOKEN = VOCAB - 1;
export const SIM_FINGERPRINT = 'a5'.repeat(32);
/** Two words for each token: K, V. */
export const KV_WORDS = 2;
export const SIM_BLOCK_BYTES = 4 * KV_WORDS * BLOCK_TOKENS;

function mix(a: number, b: number): number {
  let z = Math.imul((a ^ b) + 0x9e3779b9, 0x85ebca6b);
  z ^= z >>> 13;
  z = Math.imul(z, 0xc2b2ae35);
  return (z ^ (z >>> 16)) >>> 0;
}

/** The K of a token from the K of the token before it, 0 for the first. */
export function keyWord(before: number, token: number): number {
  return mix(before, token + 1);
}

export function valueWord(key: number, token: number): number {
  return mix(key ^ 0x5bd1e995, token + 77);
}

/** The token that follows the first `tokens` tokens of a slot, which reads all of their K and V. */
export function nextToken(kv: Uint32Array, tokens: number): number {
  return tokenOf(sumOver(FIRST_SUM, kv, 0, tokens), tokens);
}

const FIRST_SUM = 0x1234567;

/** The sum over the K and V of tokens `[from, to)`, after those before. */
function sumOver(before: number, kv: Uint32Array, from: number, to: number): number {
  let sum = before;
  for (let i = KV_WORDS * from; i < KV_WORDS * to; i++) sum = Math.imul(sum ^ kv[i]!, 0x01000193);
  return sum;
}

function tokenOf(sum: number, tokens: number): number {
  return (mix(sum, tokens) >>> 0) % (VOCAB - 1);
}

/** Writes K and V of tokens `[from, from + tokens.length)`. */
export function computeKv(kv: Uint32Array, from: number, tokens: ArrayLike<number>): void {
  for (let i = 0; i < tokens.length; i++) {
    const at = KV_WORDS * (from + i);
    const key = keyWord(from + i === 0 ? 0 : kv[at - KV_WORDS]!, tokens[i]!);
    kv[at] = key;
    kv[at + 1] = valueWord(key, tokens[i]!);
  }
}

/** The right answer to a prompt, and the right bytes of each full block of both, by key. Shares no state with the code under test. */
export function reference(
  prompt: Uint32Array,
  answerTokens: number,
): { readonly answer: number[]; readonly blocks: Map<string, Uint8Array> } {
  const tokens = new Uint32Array(prompt.length + answerTokens);
  tokens.set(prompt);
  const kv = new Uint32Array(KV_WORDS * tokens.length);
  computeKv(kv, 0, prompt);
  const answer: number[] = [];
  let sum = sumOver(FIRST_SUM, kv, 0, prompt.length);
  for (let at = prompt.length; at < tokens.length; at++) {
    const token = tokenOf(sum, at);
    answer.push(token);
    tokens[at] = token;
    computeKv(kv, at, [token]);
    sum = sumOver(sum, kv, at, at + 1);
  }
  const blocks = new Map<string, Uint8Array>();
  const seed = rootSeed({ fingerprint: SIM_FINGERPRINT, adapter: '', salt: '' });
  for (const { key, index } of blockKeys(tokens, seed)) {
    const from = KV_WORDS * BLOCK_TOKENS * index;
    blocks.set(key, new Uint8Array(kv.slice(from, from + KV_WORDS * BLOCK_TOKENS).buffer));
  }
  return { answer, blocks };
}
