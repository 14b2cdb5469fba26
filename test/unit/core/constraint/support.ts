import { type Constraint, compileConstraint } from '../../../../src/core/constraint/constraint.js';
import { ConstraintMachine, type Position } from '../../../../src/core/constraint/machine.js';
import type { JsonSchema } from '../../../../src/core/constraint/schema-facts.js';
import { TokenTrie } from '../../../../src/core/constraint/token-trie.js';

const LIMIT_BYTES = 2 ** 20;

export function machineOf(constraint: Constraint): ConstraintMachine {
  return new ConstraintMachine(compileConstraint(constraint), LIMIT_BYTES);
}

export function schemaMachine(schema: JsonSchema, closed = false): ConstraintMachine {
  return machineOf({ type: 'json', schema, closed });
}

/** The position after a text; null if it may not begin so. */
export function after(machine: ConstraintMachine, text: string): Position | null {
  let position: Position | null = machine.start;
  for (const byte of new TextEncoder().encode(text)) position = position?.next(byte) ?? null;
  return position;
}

export function allows(machine: ConstraintMachine, text: string): boolean {
  return after(machine, text)?.complete ?? false;
}

/** All texts of at most `length` tokens of a vocabulary that the machine allows. */
export function allTexts(machine: ConstraintMachine, tokens: readonly string[], length: number): Set<string> {
  const bytes = tokens.map((token) => new TextEncoder().encode(token));
  const trie = new TokenTrie(tokens.length, (id) => bytes[id]!);
  const found = new Set<string>();
  const walk = (position: Position, text: string, left: number) => {
    if (position.complete) found.add(text);
    if (left === 0) return;
    const mask = position.mask(trie);
    for (const [id, token] of tokens.entries()) {
      if ((mask[id >>> 5]! >>> (id & 31)) & 1) walk(trie.after(position, id)!, text + token, left - 1);
    }
  };
  walk(machine.start, '', length);
  return found;
}
