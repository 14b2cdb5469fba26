import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Constraint } from '../../../../src/core/constraint/constraint.js';
import { compileConstraint } from '../../../../src/core/constraint/constraint.js';
import type { Position } from '../../../../src/core/constraint/machine.js';
import { ProgramBuilder, statesOf } from '../../../../src/core/constraint/program.js';
import { stateClasses } from '../../../../src/core/constraint/state-classes.js';
import { TokenPart, TokenTrie } from '../../../../src/core/constraint/token-trie.js';
import { uniformAt } from '../../../../src/core/sampling/philox.js';
import { machineOf } from './support.js';

const LETTERS = [...'ab"\\u0\n {}:,[]é🙂'];

/** Tokens of 1 to 40 letters, most of them short. */
function drawnTokens(seed: number, count: number): Buffer[] {
  const letters = LETTERS.map((letter) => Buffer.from(letter));
  const drawn = Array.from({ length: count }, (_, id) => {
    const length = 1 + Math.floor(40 * uniformAt(seed, 100 * id) ** 3);
    const among = uniformAt(seed, 100 * id + 1) < 0.6 ? 2 : LETTERS.length;
    return Array.from({ length }, (_, i) => LETTERS[Math.floor(among * uniformAt(seed, 100 * id + 2 + i))]!).join('');
  });
  return [...letters, ...drawn.map((text) => Buffer.from(text)), Buffer.of(0xc3), Buffer.of(0xf0, 0x9f)];
}

function bitsOf(mask: Uint32Array, tokens: number): boolean[] {
  return Array.from({ length: tokens }, (_, id) => ((mask[id >>> 5]! >>> (id & 31)) & 1) === 1);
}

const CONSTRAINTS: Constraint[] = [
  { type: 'json', schema: { type: 'string', maxLength: 30 }, closed: false },
  { type: 'json', schema: { type: 'string', minLength: 14, maxLength: 60 }, closed: false },
  { type: 'json', schema: { type: 'array', items: { type: 'string', maxLength: 9 }, maxItems: 4 }, closed: false },
  { type: 'json', schema: { type: 'array', items: { type: 'array', items: {}, maxItems: 2 } }, closed: false },
  {
    type: 'json',
    schema: { type: 'object', properties: { a: { type: 'string', maxLength: 15 }, b: {} }, required: ['a'] },
    closed: true,
  },
  { type: 'regex', pattern: '(a{0,20}b?){3,6}' },
  { type: 'regex', pattern: '(a|ab|b){17}(a?b?a?){12}' },
  { type: 'regex', pattern: '([ab]{1,30}|[a]{1,40})( [ab]{0,13})*' },
  { type: 'grammar', grammar: 'root ::= pair{2,15} "u"?\npair ::= "a" rest\nrest ::= "b"* | [ab0]{0,20} "u"' },
];

describe('the tokens that may follow a position', () => {
  afterEach(() => vi.restoreAllMocks());

  it.each(CONSTRAINTS)('are those with which a text of %j can continue', (constraint) => {
    for (let seed = 0; seed < 4; seed++) {
      const tokens = drawnTokens(seed, 160);
      const trie = new TokenTrie(tokens.length, (id) => tokens[id]!);
      let position: Position = machineOf(constraint).start;
      for (let step = 0; step < 25; step++) {
        const right = tokens.map((_, id) => trie.after(position, id) !== null);
        expect(bitsOf(position.mask(trie), tokens.length)).toEqual(right);
        // Short steps, so that texts come by many positions.
        const next = right.flatMap((is, id) => (is && (step > 20 || tokens[id]!.length < 4) ? [id] : []));
        if (next.length === 0) break;
        position = trie.after(position, next[Math.floor(next.length * uniformAt(seed, 900_000 + step))]!)!;
      }
    }
  });

  it('are looked up once for all positions of a text that is far from its bound', () => {
    const marked = vi.spyOn(TokenPart.prototype, 'mark');
    const tokens = [
      ...Array.from({ length: 256 }, (_, byte) => Buffer.of(byte)),
      Buffer.alloc(20, 'a'),
      Buffer.alloc(50, 'a'),
    ];
    const trie = new TokenTrie(tokens.length, (id) => tokens[id]!);
    expect(trie.parts.map(({ mostBytes }) => mostBytes)).toEqual([1, 20, 50]);
    const bounded = { type: 'json', schema: { type: 'string', minLength: 10, maxLength: 200 }, closed: false } as const;
    let position: Position = machineOf(bounded).start.next(0x22)!;
    const countAfter = (letters: number) => {
      marked.mockClear();
      for (let i = 0; i < letters; i++) {
        position.mask(trie);
        position = position.next(0x61)!;
      }
      return marked.mock.calls.length;
    };
    // The first positions differ in when the text may end.
    expect(countAfter(20)).toBeGreaterThan(3);
    expect(countAfter(125)).toBe(0);
    // From here on, the longest tokens tell how much of the text is left.
    expect(countAfter(30)).toBe(25);
  });
});

describe('stateClasses', () => {
  it('tells states apart by what can follow within so many bytes', () => {
    const states = statesOf(compileConstraint({ type: 'regex', pattern: 'a{0,50}b' }));
    const counts = [1, 5, 40, 100].map((bytes) => new Set(stateClasses(states, bytes)).size);
    expect(counts).toEqual(counts.toSorted((a, b) => a - b));
    expect(counts[1]).toBeLessThan(10);
    expect(counts[3]).toBeGreaterThan(50);
  });

  it('looks behind calls that may end without a byte', () => {
    const builder = new ProgramBuilder();
    const [before, other, callee, end] = [builder.state(), builder.state(), builder.state(), builder.state()];
    const follows = [builder.state(), builder.state()] as const;
    builder.epsilon(0, before);
    builder.epsilon(0, other);
    builder.final(callee);
    builder.call(before, callee, follows[0]);
    builder.call(other, callee, follows[1]);
    builder.bytes(follows[0], 0x61, 0x61, end);
    builder.bytes(follows[1], 0x62, 0x62, end);
    builder.final(end);
    const classes = stateClasses(statesOf(builder.build()!), 1);
    expect(classes[before]).not.toBe(classes[other]);
  });
});
