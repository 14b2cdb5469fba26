import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  blockAfter,
  blockKeys,
  type KeyRoot,
  labelOf,
  nextBlockKey,
  packKeys,
  rootSeed,
  unpackKeys,
} from '../../../src/core/key.js';
import { layersOf, ownerLabel, ownSalt, type Salt, saltLabel } from '../../../src/core/salt.js';
import { InvalidRequest } from '../../../src/errors.js';

interface Vector extends KeyRoot {
  description: string;
  blockTokens: number;
  tokens: number[];
  keys: string[];
}
const { vectors } = JSON.parse(readFileSync(new URL('../../vectors/keys.json', import.meta.url), 'utf8')) as {
  vectors: Vector[];
};

/** Reference: a plain implementation of docs/KEYS.md. */
function keysByTheBook({ salt, ...root }: KeyRoot, tokens: readonly number[], blockTokens: number): string[] {
  const keys: string[] = [];
  const { own, layers } = typeof salt === 'string' ? { own: salt, layers: [] } : salt;
  const salts = [...(root.adapter === '' ? layers : []), { salt: own, blocks: Number.POSITIVE_INFINITY }];
  const sha = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');
  const label = (of: string) =>
    sha(`shoal/owner/1\0${of.split(':')[0]}`).slice(0, 8) + sha(`shoal/salt/1\0${of}`).slice(0, 8);
  const field = (bytes: Uint8Array) => [...new Uint8Array(Uint32Array.of(bytes.length).buffer), ...bytes];
  const text = (s: string) => field(new TextEncoder().encode(s));
  for (let at = 0; at + blockTokens <= tokens.length; at += blockTokens) {
    const ids = new DataView(new ArrayBuffer(4 * blockTokens));
    for (let i = 0; i < blockTokens; i++) ids.setUint32(4 * i, tokens[at + i]!, true);
    const mine = salts.find(({ blocks }) => blocks > keys.length)!.salt;
    const parent = () => field(Uint8Array.from(Buffer.from(keys.at(-1)!, 'hex')));
    const before =
      keys.length === 0
        ? ['shoal/block/first/2', root.fingerprint, root.adapter, mine].flatMap(text)
        : salts.some(({ blocks }) => blocks === keys.length)
          ? [...text('shoal/block/layer/2'), ...parent(), ...text(mine)]
          : [...text('shoal/block/next/2'), ...parent()];
    const bytes = [...before, ...field(new Uint8Array(ids.buffer))];
    keys.push(sha(Uint8Array.from(bytes)).slice(0, 48) + label(mine));
  }
  return keys;
}

const token = fc.integer({ min: 0, max: 0xffffffff });
const root = fc.record({
  fingerprint: fc.constantFrom('0'.repeat(64), 'f'.repeat(64)),
  adapter: fc.constantFrom('', 'a', 'ab'),
  salt: fc.constantFrom<Salt>(
    ...['', 'b', 'ba', 'ü', 'b:a', 'b:c'],
    { own: 'b', layers: [{ salt: 'a', blocks: 1 }] },
    {
      own: 'b:c',
      layers: [
        { salt: 'a', blocks: 2 },
        { salt: 'd:e', blocks: 3 },
      ],
    },
  ),
});
const keysOf = (tokens: readonly number[], under: KeyRoot, blockTokens: number) =>
  blockKeys(Uint32Array.from(tokens), rootSeed(under), blockTokens).map((block) => block.key);

describe('block keys', () => {
  it.each(vectors)('agree with the published vector: $description', (vector) => {
    expect(keysOf(vector.tokens, vector, vector.blockTokens)).toEqual(vector.keys);
    expect(keysByTheBook(vector, vector.tokens, vector.blockTokens)).toEqual(vector.keys);
  });

  it('agree with a second implementation of the specification', () => {
    fc.assert(
      fc.property(
        root,
        fc.array(token, { maxLength: 60 }),
        fc.integer({ min: 1, max: 9 }),
        (under, tokens, blockTokens) => {
          expect(keysOf(tokens, under, blockTokens)).toEqual(keysByTheBook(under, tokens, blockTokens));
        },
      ),
      { numRuns: 50 },
    );
  });

  it('are shared by exactly the blocks of a common prefix', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 1 }), { maxLength: 24 }),
        fc.array(fc.integer({ min: 0, max: 1 }), { maxLength: 24 }),
        (a, b) => {
          const under = { fingerprint: '0'.repeat(64), adapter: '', salt: '' };
          const [keysA, keysB] = [keysOf(a, under, 2), keysOf(b, under, 2)];
          let common = 0;
          while (common < Math.min(a.length, b.length) && a[common] === b[common]) common++;
          const shared = keysA.filter((key, i) => key === keysB[i]).length;
          expect(shared).toBe(Math.floor(common / 2));
        },
      ),
    );
  });

  it('differ if any part of the root differs', () => {
    fc.assert(
      fc.property(root, root, (one, other) => {
        const begins = ({ salt, adapter }: KeyRoot) =>
          (adapter === '' ? layersOf(salt)[0]?.salt : undefined) ?? ownSalt(salt);
        const same =
          one.fingerprint === other.fingerprint && one.adapter === other.adapter && begins(one) === begins(other);
        expect(keysOf([1, 2], one, 2)[0] === keysOf([1, 2], other, 2)[0]).toBe(same);
      }),
    );
  });

  it('are shared up to the end of the common layers, and not after it', () => {
    const tokens = Array.from({ length: 10 }, (_, i) => i);
    const layers = [{ salt: 'layer/public:', blocks: 2 }];
    const under = (salt: Salt) => keysOf(tokens, { fingerprint: '', adapter: '', salt }, 2);
    const [a, b] = [under({ own: 'tenant/a:all:', layers }), under({ own: 'tenant/b:all:', layers })];
    expect(a.map((key, i) => key === b[i])).toEqual([true, true, false, false, false]);
    expect(new Set([...a, ...b, ...under('tenant/a:all:')]).size).toBe(2 + 3 + 3 + 5);
  });

  it('end with the label of their salt and its owner', () => {
    const layers = [{ salt: 'layer/public:', blocks: 1 }];
    const salt = { own: 'tenant/a:all:x', layers };
    const [first, second, third] = keysOf([1, 2, 3], { fingerprint: '', adapter: '', salt }, 1);
    expect(labelOf(first!)).toBe(saltLabel('layer/public:'));
    expect(labelOf(second!)).toBe(saltLabel('tenant/a:all:x'));
    expect(labelOf(third!)).toBe(labelOf(second!));
    expect(labelOf(third!).startsWith(ownerLabel('tenant/a'))).toBe(true);
    expect(saltLabel('tenant/a:all:y')).not.toBe(labelOf(third!));
  });

  it('have no layers under an adapter', () => {
    const layered = { own: 'a', layers: [{ salt: 'b', blocks: 1 }] };
    const under = (salt: Salt) => keysOf([1, 2, 3], { fingerprint: '', adapter: 'regime:long', salt }, 1);
    expect(under(layered)).toEqual(under('a'));
  });

  it('come with their parent, index and segment', () => {
    const blocks = blockKeys(
      Uint32Array.from({ length: 40 }, (_, i) => i),
      rootSeed({ fingerprint: '', adapter: '', salt: '' }),
      2,
    );
    expect(blocks).toHaveLength(20);
    blocks.forEach((block, i) => {
      expect(block.index).toBe(i);
      expect(block.parent).toBe(i === 0 ? null : blocks[i - 1]!.key);
      expect(block.segment).toBe(blocks[i - (i % 8)]!.key);
    });
  });

  it('can be computed one by one as tokens arrive', () => {
    const seed = rootSeed({ fingerprint: 'f', adapter: '', salt: 's' });
    const tokens = Uint32Array.from({ length: 36 }, (_, i) => i * 7);
    let block = blockAfter(null, tokens.subarray(0, 4), seed);
    const chained = [block];
    for (let at = 4; at < 36; at += 4) {
      const next = blockAfter(block, [...tokens.subarray(at, at + 4)], seed);
      expect(nextBlockKey(block.key, tokens.subarray(at, at + 4))).toBe(next.key);
      block = next;
      chained.push(block);
    }
    expect(chained).toEqual(blockKeys(tokens, seed, 4));
  });

  it('survive packing and unpacking at any alignment', () => {
    const blocks = blockKeys(Uint32Array.from({ length: 40 }), rootSeed({ fingerprint: '', adapter: '', salt: '' }), 2);
    const keys = blocks.map((block) => block.key);
    const shifted = new Uint8Array(1 + 32 * keys.length);
    shifted.set(packKeys(keys), 1);
    expect(unpackKeys(shifted.subarray(1))).toEqual(keys);
  });

  it('are refused if they are incomplete', () => {
    expect(() => unpackKeys(new Uint8Array(33))).toThrow(InvalidRequest);
    expect(() => packKeys(['abc'])).toThrow(InvalidRequest);
    expect(() => packKeys([`${'0'.repeat(64)}0`])).toThrow(InvalidRequest);
    expect(() => nextBlockKey('no key', [1])).toThrow(InvalidRequest);
  });
});
