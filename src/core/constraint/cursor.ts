import { InternalError, InvalidRequest } from '../../errors.js';
import type { Position } from './machine.js';
import type { TokenTrie } from './token-trie.js';

/** The place of one answer in its constraint. It follows from the answer's tokens alone, so any worker can continue it. */
export class ConstraintCursor {
  private position: Position;
  private readonly endIds: readonly number[];

  /**
   * @param endIds tokens that end the answer
   * @param generated tokens of the answer that another worker has generated
   */
  constructor(
    start: Position,
    private readonly trie: TokenTrie,
    endIds: readonly number[],
    generated: ArrayLike<number>,
  ) {
    this.position = start;
    this.endIds = [...new Set(endIds)];
    for (let i = 0; i < generated.length; i++) this.advance(generated[i]!);
  }

  /** Whether the answer is complete and cannot go on: of a model without end tokens it ends here. */
  get exhausted(): boolean {
    return this.position.complete && this.position.configs.length === 0;
  }

  /** Leaves only tokens with which the answer can still become what it must be. An answer that is complete may end. */
  restrict(logits: Float32Array): void {
    const mask = this.position.mask(this.trie);
    const { complete } = this.position;
    const ends = complete ? this.endIds.map((id) => logits[id]!) : [];
    let left = ends.length + keepOnly(logits, mask);
    for (const id of this.endIds) {
      // The answer would end with it, rather than go on.
      if ((mask[id >>> 5]! >>> (id & 31)) & 1) left--;
      logits[id] = Number.NEGATIVE_INFINITY;
    }
    for (const [i, logit] of ends.entries()) logits[this.endIds[i]!] = logit;
    if (left === 0)
      throw new InvalidRequest(
        "the model's vocabulary has no token with which the answer could go on under its constraint",
      );
  }

  /** Goes on by a token that `restrict` left. */
  advance(token: number): void {
    const next = this.trie.after(this.position, token);
    if (next === null) throw new InternalError(`token ${token} does not continue the constraint of its answer`);
    this.position = next;
  }
}

/**
 * Takes the tokens without a bit in `mask` out of `logits`, and returns the number of those that are left. A vocabulary has thousands of words of
 * bits, and this runs for each token of an answer: only bits that change something are looked at one by one.
 */
function keepOnly(logits: Float32Array, mask: Uint32Array): number {
  let left = 0;
  for (let word = 0; word < mask.length; ) {
    const bits = mask[word]!;
    const first = 32 * word++;
    if (bits === 0) {
      while (word < mask.length && mask[word] === 0) word++;
      logits.fill(Number.NEGATIVE_INFINITY, first, 32 * word);
      continue;
    }
    left += 32;
    // The ids of the last word may be more than there are tokens: what is written beyond the end has no effect.
    for (let others = ~bits; others !== 0; others &= others - 1) {
      logits[first + 31 - Math.clz32(others & -others)] = Number.NEGATIVE_INFINITY;
      left--;
    }
  }
  return left;
}
