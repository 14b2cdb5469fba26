import { createHash } from 'node:crypto';
import { ConstraintCursor } from '../core/constraint/cursor.js';
import { ConstraintMachine } from '../core/constraint/machine.js';
import type { TokenTrie } from '../core/constraint/token-trie.js';

/** Constraints whose positions and masks are remembered. */
const MACHINES = 16;

/** The constraints of an engine's sequences. Sequences with the same constraint share what is known of it. */
export class Constraints {
  /** By digest, the least recently used first. */
  private readonly machines = new Map<string, ConstraintMachine>();

  constructor(private readonly vocabulary: TokenTrie) {}

  /**
   * @param program little-endian uint16[], as a request has it
   * @param endIds tokens that end the answer
   * @param generated tokens of the answer that another worker has generated
   * @throws InvalidRequest if the program is none
   */
  cursor(program: Uint8Array, endIds: readonly number[], generated: ArrayLike<number>): ConstraintCursor {
    return new ConstraintCursor(this.machineOf(program).start, this.vocabulary, endIds, generated);
  }

  private machineOf(program: Uint8Array): ConstraintMachine {
    const key = createHash('sha256').update(program).digest('base64');
    const machine =
      this.machines.get(key) ??
      // Copied, because the bytes may not be aligned.
      new ConstraintMachine(new Uint16Array(program.slice().buffer), Math.ceil(this.vocabulary.vocab / 8));
    this.machines.delete(key);
    this.machines.set(key, machine);
    if (this.machines.size > MACHINES) this.machines.delete(this.machines.keys().next().value!);
    return machine;
  }
}
