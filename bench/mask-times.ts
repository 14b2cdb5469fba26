import { type Constraint, compileConstraint } from '../src/core/constraint/constraint.js';
import { ConstraintMachine, type Position } from '../src/core/constraint/machine.js';
import { TokenTrie } from '../src/core/constraint/token-trie.js';
import { uniformAt } from '../src/core/sampling/philox.js';
import { median } from './report.js';

/** How long a worker takes to find the tokens that may follow, with a vocabulary as large as those of current models. */

export const VOCABULARY_TOKENS = 128_000;
const TOKENS_OF_TEXT = 40;
const MACHINE_BYTES = 4 * 2 ** 20;
/** Shares of tokens by their greatest length in bytes, about as in OpenAI's o200k_base. */
const LENGTHS: readonly (readonly [mostBytes: number, share: number])[] = [
  [4, 0.25],
  [8, 0.53],
  [12, 0.175],
  [24, 0.042],
  [64, 0.003],
];
const LETTERS = 'etaoinshrdlucmfwypvbgkjqxz';

/** Each byte, and random words, some after a blank. */
export function drawnVocabulary(seed: number): TokenTrie {
  const bytes = Array.from({ length: VOCABULARY_TOKENS }, (_, id) => (id < 256 ? Buffer.of(id) : wordOf(seed, id)));
  return new TokenTrie(bytes.length, (id) => bytes[id]!);
}

function wordOf(seed: number, id: number): Buffer {
  const draw = (i: number) => uniformAt(seed, 128 * id + i);
  let [left, least, most] = [draw(0), 2, LENGTHS[0]![0]];
  for (const [bytes, share] of LENGTHS) {
    most = bytes;
    if (left < share) break;
    left -= share;
    least = bytes + 1;
  }
  const length = least + Math.floor(draw(1) * (most - least + 1));
  // Earlier letters are more frequent, so that words begin alike.
  const letters = Array.from({ length }, (_, i) => LETTERS[Math.floor(LETTERS.length * draw(3 + i) ** 2)]!).join('');
  return Buffer.from(draw(2) < 0.5 ? letters : ` ${letters.slice(1)}`);
}

/** Median time in microseconds to find the tokens that may follow, at the first tokens of a text. */
export function maskMicros(vocabulary: TokenTrie, constraint: Constraint, seed: number): number {
  const machine = new ConstraintMachine(compileConstraint(constraint), MACHINE_BYTES);
  const micros: number[] = [];
  let position: Position = machine.start;
  for (let step = 0; step < TOKENS_OF_TEXT; step++) {
    const startMs = performance.now();
    position.mask(vocabulary);
    micros.push(1000 * (performance.now() - startMs));
    position = nextOf(vocabulary, position, (i) => uniformAt(seed, 1000 * step + i));
  }
  return median(micros);
}

/** After a random token that may follow, or after a quotation mark if none of many may. */
function nextOf(vocabulary: TokenTrie, position: Position, draw: (i: number) => number): Position {
  for (let i = 0; i < 200; i++) {
    const next = vocabulary.after(position, 256 + Math.floor(draw(i) * (VOCABULARY_TOKENS - 256)));
    if (next !== null) return next;
  }
  return vocabulary.after(position, '"'.charCodeAt(0))!;
}
