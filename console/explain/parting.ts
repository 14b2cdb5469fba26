import { counted } from '../parts/words.js';

/** Where two prompts part, and what that means for their blocks. Pure. */

/** Tokens of a block. */
export const BLOCK_TOKENS = 64;

/** Number of tokens that both prompts begin with. */
export function sharedTokens(a: readonly number[], b: readonly number[]): number {
  const least = Math.min(a.length, b.length);
  for (let i = 0; i < least; i++) if (a[i] !== b[i]) return i;
  return least;
}

/** How much of two prompts is the same, and which blocks they can share, in words. */
export function partingSentence(a: readonly number[], b: readonly number[]): string {
  const shared = sharedTokens(a, b);
  const blocks = Math.floor(shared / BLOCK_TOKENS);
  if (shared === a.length && shared === b.length) return `The prompts are the same: ${counted(shared, 'token')}.`;
  if (shared === 0) return 'The prompts part at their first token: they share no block.';
  const longer = a.length > b.length ? 'first' : 'second';
  const where =
    shared === Math.min(a.length, b.length)
      ? `One begins with all ${counted(shared, 'token')} of the other; the ${longer} prompt continues.`
      : `They begin with the same ${counted(shared, 'token')}, and part at token ${shared + 1}.`;
  if (blocks === 0) return `${where} That is less than a block of ${BLOCK_TOKENS} tokens: they share no block.`;
  const rest = shared % BLOCK_TOKENS;
  const lost =
    rest === 0
      ? ''
      : ` The last ${counted(rest, 'token')} that they share stand in block ${blocks + 1}, which differs: a block is found only if all of it is the same, and all before it.`;
  return `${where} They share ${counted(blocks, 'block')}.${lost}`;
}

/** Tokens that are shown on either side. @internal exported for tests. */
export const AROUND = 16;

/** The tokens around the place where two prompts part, and whether each piece is cut there. */
export function partingPieces(a: readonly number[], b: readonly number[]) {
  const at = sharedTokens(a, b);
  return {
    before: { tokens: a.slice(Math.max(0, at - AROUND), at), cut: at > AROUND },
    first: { tokens: a.slice(at, at + AROUND), cut: a.length > at + AROUND },
    second: { tokens: b.slice(at, at + AROUND), cut: b.length > at + AROUND },
  };
}

/** A text whose beginning is cut: from the next word on. */
export function cutBefore(text: string): string {
  const words = text.replace(/^\S*\s+(?=\S)/, '');
  return `… ${words}`;
}
