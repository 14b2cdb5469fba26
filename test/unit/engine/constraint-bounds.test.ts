import { describe, expect, it } from 'vitest';
import { type Constraint, compileConstraint } from '../../../src/core/constraint/constraint.js';
import type { ConstraintCursor } from '../../../src/core/constraint/cursor.js';
import { ConstraintMachine, Position, TooAmbiguous } from '../../../src/core/constraint/machine.js';
import { TokenTrie } from '../../../src/core/constraint/token-trie.js';
import { uniformAt } from '../../../src/core/sampling/philox.js';
import { Constraints } from '../../../src/engine/constraints.js';

const LETTERS = 'aeioubcdfghjklmn';
/** All bytes, then all texts of four letters. */
const TOKENS = 256 + LETTERS.length ** 4;
const trie = new TokenTrie(TOKENS, (id) => (id < 256 ? Uint8Array.of(id) : word(id - 256)));
const bytes = new TokenTrie(256, (id) => Uint8Array.of(id));

function word(index: number): Uint8Array {
  const letters = [0, 4, 8, 12].map((shift) => LETTERS[(index >>> shift) & 15]!);
  return new TextEncoder().encode(letters.join(''));
}

const programOf = (pattern: string) => new Uint8Array(compileConstraint({ type: 'regex', pattern }).buffer);

/** Memory that the places of all positions take, of which something leads from `root` to the position. */
function bytesHeld(root: object): number {
  const seen = new Set<object>([root]);
  let held = 0;
  for (const at of seen) {
    if (at instanceof Position) held += 64 * at.configs.length;
    const values = at instanceof Map ? at.values() : ArrayBuffer.isView(at) ? [] : Object.values(at);
    for (const value of values) if (typeof value === 'object' && value !== null) seen.add(value);
  }
  return held;
}

function goOn(cursor: ConstraintCursor, seed: number, steps: number): void {
  for (let i = 0; i < steps; i++) {
    cursor.restrict(new Float32Array(256));
    cursor.advance(LETTERS.charCodeAt(Math.floor(uniformAt(seed, i) * LETTERS.length)));
  }
}

describe('constraints', () => {
  it.each<Constraint>([
    { type: 'regex', pattern: '[ -~]*[aeiou][ -~]{3900}' },
    { type: 'regex', pattern: '(a?){4000}' },
    { type: 'json', schema: { type: 'string', pattern: '^[ -~]*a[ -~]{1200}$' }, closed: true },
  ])('are refused where a text would be at too many places: %j', (constraint) => {
    expect(() => compileConstraint(constraint)).toThrow(/too ambiguous/);
  });

  it('hold bounded memory, even for a cursor that waits while others go on', () => {
    const constraints = new Constraints(bytes);
    const program = programOf('[ -~]*[aeiou][ -~]{64}');
    const waiting = constraints.cursor(program, [], []);
    goOn(waiting, 1, 70);
    goOn(constraints.cursor(program, [], []), 2, 3_000);
    expect(bytesHeld(constraints)).toBeGreaterThan(0);
    expect(bytesHeld([constraints, waiting])).toBeLessThan(4 * 2 ** 20);
  }, 60_000);

  it('allow the same tokens whatever has been forgotten', () => {
    const program = compileConstraint({ type: 'json', schema: { type: 'array' }, closed: true });
    const [all, none] = [new ConstraintMachine(program, 2 ** 30), new ConstraintMachine(program, 1_000)];
    let [left, right] = [all.start, none.start];
    for (const byte of new TextEncoder().encode('[[1,[{"a":[2.5,"x"]},[[]]],null],[[[],{}],"y"],3]')) {
      expect(right.mask(bytes)).toEqual(left.mask(bytes));
      [left, right] = [left.next(byte)!, right.next(byte)!];
    }
    expect([left.complete, right.complete]).toEqual([true, true]);
    expect(all.generation).toBe(0);
    expect(none.generation).toBeGreaterThan(100);
  });

  it('end an answer whose next tokens take too long to find', () => {
    const each = [...LETTERS].map((letter) => `${letter}[ -~]{60}`).join('|');
    const cursor = new Constraints(trie).cursor(programOf(`[ -~]*(${each})`), [], []);
    expect(() => {
      for (let i = 0; i < 300; i++) {
        cursor.restrict(new Float32Array(TOKENS));
        cursor.advance(LETTERS.charCodeAt(i % 16));
      }
    }).toThrow(TooAmbiguous);
  }, 60_000);

  it('end an answer that could go on only with a token that ends it', () => {
    const constraints = new Constraints(bytes);
    const a = 'a'.charCodeAt(0);
    expect(() => constraints.cursor(programOf('a'), [a, a], []).restrict(new Float32Array(256))).toThrow(/no token/);
    const logits = new Float32Array(256);
    constraints.cursor(programOf('[ab]'), [a, a], []).restrict(logits);
    expect([...logits.entries()].filter(([, logit]) => logit === 0)).toEqual([[a + 1, 0]]);
  });

  it('may have many options that begin alike, and many properties', () => {
    const options = Array.from({ length: 1_024 }, (_, i) => `option ${i}`);
    const integer = { type: 'integer' };
    const properties = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`name${i}`, integer]));
    for (const constraint of [
      { type: 'choice', options },
      { type: 'json', schema: { enum: options }, closed: true },
      { type: 'json', schema: { type: 'object', properties }, closed: true },
    ] as const) {
      const position = new ConstraintMachine(compileConstraint(constraint), 2 ** 22).start;
      expect(position.mask(trie).some((word) => word !== 0)).toBe(true);
    }
  });
});
