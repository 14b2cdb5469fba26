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

  /** Whether the answer is complete and cannot continue: a model without end tokens ends it here. */
  get exhausted(): boolean {
    return this.position.complete && this.position.configs.length === 0;
  }

  /** Leaves only tokens with which the answer can still satisfy the constraint. A complete answer may end. */
  restrict(logits: Float32Array): void {
    const mask = this.position.mask(this.trie);
    const { complete } = this.position;
    const ends = complete ? this.endIds.map((id) => logits[id]!) : [];
    let left = complete ? ends.length : 0;
    for (let word = 0; word < mask.length; word++) {
      const bits = mask[word]!;
      if (bits === 0xffffffff) left += 32;
      else {
        const end = Math.min(logits.length, 32 * word + 32);
        for (let id = 32 * word; id < end; id++) {
          if ((bits >>> (id & 31)) & 1) left++;
          else logits[id] = Number.NEGATIVE_INFINITY;
        }
      }
    }
    for (const id of this.endIds) {
      // The answer would end with it, rather than continue.
      if ((mask[id >>> 5]! >>> (id & 31)) & 1) left--;
      logits[id] = Number.NEGATIVE_INFINITY;
    }
    for (const [i, logit] of ends.entries()) logits[this.endIds[i]!] = logit;
    if (left === 0)
      throw new InvalidRequest(
        "the model's vocabulary has no token with which the answer could continue under its constraint",
      );
  }

  /** Goes on by a token that `restrict` left. */
  advance(token: number): void {
    const next = this.trie.after(this.position, token);
    if (next === null) throw new InternalError(`token ${token} does not continue the constraint of its answer`);
    this.position = next;
  }
}
