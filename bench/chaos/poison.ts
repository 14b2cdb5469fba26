/** Prompts that crash the workers of fleets in which `crashing-engine.ts` is preloaded. */

const TOKEN = 300;
const BEGIN_TOKENS = 32;

/** A poisonous prompt, in token ids; another one for another number. */
export function poison(number: number): number[] {
  return [
    ...Array<number>(BEGIN_TOKENS).fill(TOKEN),
    ...Array.from({ length: 64 }, (_, i) => 301 + ((number + i) % 50)),
  ];
}

/** Whether a prompt is poisonous: no other prompt begins so. */
export function isPoison(tokens: ArrayLike<number>): boolean {
  if (tokens.length < BEGIN_TOKENS) return false;
  for (let i = 0; i < BEGIN_TOKENS; i++) if (tokens[i] !== TOKEN) return false;
  return true;
}
