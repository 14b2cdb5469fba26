import { describe, expect, it } from 'vitest';
import { blockKeys, rootSeed } from '../../../src/core/key.js';
import {
  adapterOf,
  dependenceNotice,
  type KvDependence,
  ON_PREFIX,
  regimeOf,
} from '../../../src/core/kv-dependence.js';

const BORDER: KvDependence = { kind: 'border', borderTokens: 4096 };

describe('the regime of a sequence', () => {
  it('is long beyond the border', () => {
    expect([4095, 4096, 4097].map((tokens) => regimeOf(BORDER, tokens))).toEqual(['short', 'short', 'long']);
  });

  it('is short where there is no border', () => {
    expect(regimeOf(ON_PREFIX, 1_000_000)).toBe('short');
    expect(regimeOf({ kind: 'length', reason: '' }, 1_000_000)).toBe('short');
  });

  it('changes the keys of all blocks, and leaves those of short sequences as they are', () => {
    const keys = (adapter: string) =>
      blockKeys(new Uint32Array(128), rootSeed({ fingerprint: 'f', adapter, salt: '' })).map(({ key }) => key);
    expect(keys(adapterOf('short'))).toEqual(keys(''));
    for (const [i, key] of keys(adapterOf('long')).entries()) expect(key).not.toBe(keys('')[i]);
  });
});

it('is noticed unless it is the prefix', () => {
  expect(dependenceNotice(ON_PREFIX)).toBeNull();
  expect(dependenceNotice(BORDER)).toContain('4096 tokens');
  for (const kind of ['run', 'length'] as const) {
    expect(dependenceNotice({ kind, reason: 'the reason' })).toContain('the reason');
  }
});
