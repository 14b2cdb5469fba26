import { describe, expect, test } from 'vitest';
import { type Random, SeededRandom, SystemRandom } from '../../src/random.js';

const sources: [string, () => Random][] = [
  ['SystemRandom', () => new SystemRandom()],
  ['SeededRandom', () => new SeededRandom(42)],
];

describe.each(sources)('%s', (_name, make) => {
  test('next() covers [0, 1)', () => {
    const random = make();
    const tenths = new Set<number>();
    for (let i = 0; i < 1_000; i++) {
      const x = random.next();
      expect(x).toBeGreaterThanOrEqual(0);
      expect(x).toBeLessThan(1);
      tenths.add(Math.floor(x * 10));
    }
    expect(tenths.size).toBe(10);
  });

  test('below() returns every integer below the bound, and no other', () => {
    const random = make();
    const seen = new Set(Array.from({ length: 1_000 }, () => random.below(7)));
    expect([...seen].sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  test('bytes() returns the given number of bytes', () => {
    const random = make();
    expect(random.bytes(0)).toEqual(new Uint8Array(0));
    expect(new Set(random.bytes(1_000)).size).toBeGreaterThan(200);
  });
});

test('SeededRandom is reproducible from its seed, and differs for other seeds', () => {
  const [one, same, other] = [new SeededRandom(7), new SeededRandom(7), new SeededRandom(8)];
  const take = (random: Random) => Array.from({ length: 20 }, () => random.next());
  const first = take(one);
  expect(take(same)).toEqual(first);
  expect(take(other)).not.toEqual(first);
});
