import { type Constraint, compileConstraint } from '../../../../src/core/constraint/constraint.js';
import { ConstraintMachine, type Position } from '../../../../src/core/constraint/machine.js';
import type { JsonSchema } from '../../../../src/core/constraint/schema-facts.js';
import { TokenTrie } from '../../../../src/core/constraint/token-trie.js';
import { uniformAt } from '../../../../src/core/sampling/philox.js';

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

/** A text by random steps: to the end soon, once it may end. */
export function randomText(machine: ConstraintMachine, seed: number): string | null {
  const bytes: number[] = [];
  let position: Position = machine.start;
  for (let i = 0; i < 600; i++) {
    const draw = uniformAt(seed, 2 * i);
    if (position.complete && draw < 0.5) break;
    const next = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => position.next(byte) !== null);
    if (next.length === 0) break;
    // Ends come sooner where marks that close something are preferred.
    const closing = next.filter((byte) => '"]}'.includes(String.fromCharCode(byte)));
    const from = closing.length > 0 && draw < 0.6 ? closing : next;
    const byte = from[Math.floor(uniformAt(seed, 2 * i + 1) * from.length)]!;
    bytes.push(byte);
    position = position.next(byte)!;
  }
  return position.complete ? new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes)) : null;
}
