import { expect, it } from 'vitest';
import { FreshPrefixes } from '../../../console/chaos/fresh-prefix.js';

const prefixes = () => {
  let salts = 0;
  return new FreshPrefixes(() => `salt ${++salts}`);
};

it('uses a salt for a second, and for some questions', () => {
  const fresh = prefixes();
  const salts = (now: number, count: number) =>
    new Set(Array.from({ length: count }, () => fresh.next(now, [], ['a']).salt));
  expect([salts(0, 100), salts(999, 1), salts(1_000, 16), salts(1_999, 1)].map((each) => [...each])).toEqual([
    ...[['salt 1'], ['salt 1'], ['salt 2'], ['salt 2']],
  ]);
  expect([...salts(9_000, 100)]).toEqual(['salt 3']);
});

it('gives a new prefix to a sender first, then to another worker, each in its turn', () => {
  const fresh = prefixes();
  const named = (now: number) => [1, 2, 3].map(() => fresh.next(now, ['a'], ['b', 'c']).worker);
  expect([named(0), named(1_000)]).toEqual([
    ['a', 'c', null],
    ['a', 'b', null],
  ]);
  expect(fresh.next(2_000, [], ['b', 'c']).worker).toBeNull();
  expect([3_000, 3_000].map((now) => fresh.next(now, ['a'], []).worker)).toEqual(['a', null]);
});
