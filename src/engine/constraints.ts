import { createHash } from 'node:crypto';
import { ConstraintCursor } from '../core/constraint/cursor.js';
import { ConstraintMachine } from '../core/constraint/machine.js';
import type { TokenTrie } from '../core/constraint/token-trie.js';

/** Constraints whose positions and masks are remembered, and the memory for each. */
const MACHINES = 16;
const MACHINE_BYTES = 4 * 2 ** 20;
/** The memory of a constraint that is no longer among them, but still has running answers. */
const RETIRED_BYTES = 2 ** 18;

/** The constraints of an engine's sequences. Sequences with the same constraint share one machine. */
export class Constraints {
  /** By digest, the least recently used first. */
  private readonly machines = new Map<string, ConstraintMachine>();

  constructor(private readonly vocabulary: TokenTrie) {}

  /**
   * @param program little-endian uint16[], as a request has it
   * @param endIds tokens that end the answer
   * @param generated tokens of the answer that another worker has generated
   * @throws InvalidRequest if `program` is not a program
   */
  cursor(program: Uint8Array, endIds: readonly number[], generated: ArrayLike<number>): ConstraintCursor {
    return new ConstraintCursor(this.machineOf(program).start, this.vocabulary, endIds, generated);
  }

  private machineOf(program: Uint8Array): ConstraintMachine {
    const key = createHash('sha256').update(program).digest('base64');
    const machine =
      this.machines.get(key) ??
      // Copied, because the bytes may not be aligned.
      new ConstraintMachine(new Uint16Array(program.slice().buffer), MACHINE_BYTES);
    this.machines.delete(key);
    this.machines.set(key, machine);
    if (this.machines.size > MACHINES) this.retire();
    return machine;
  }

  private retire(): void {
    const [[key, machine]] = this.machines as unknown as [[string, ConstraintMachine]];
    this.machines.delete(key);
    machine.limit(RETIRED_BYTES);
  }
}
