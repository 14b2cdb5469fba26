import { describe, expect, it } from 'vitest';
import { checkMemory, checkQuota } from '../../../../coordinator/retention/admission.js';
import {
  RETAINED_TOKENS,
  RETAINED_TOKENS_PER_KEY,
  RETENTIONS,
  RETENTIONS_PER_KEY,
  type Retention,
  segmentsOf,
} from '../../../../coordinator/retention/retention.js';
import { blockKeys, rootSeed } from '../../../../src/core/key.js';
import { FINGERPRINT } from '../../../support/announcement.js';

function retention(id: string, over: Partial<Retention> = {}): Retention {
  const tokens = over.tokens ?? 640;
  const blocks = blockKeys(new Uint32Array(tokens), rootSeed({ fingerprint: FINGERPRINT, adapter: '', salt: id }));
  return {
    ...{ id, slot: 0, owner: 'me', layer: null, tokens, blocks: blocks.length, segments: segmentsOf(blocks) },
    ...{ last: blocks.at(-1)!.key, createdMs: 0, expiresMs: 1, stage: 'pending', reason: null, ...over },
  };
}
const several = (count: number, over: Partial<Retention> = {}) =>
  Array.from({ length: count }, (_, i) => ({ ...retention('r', over), id: `r${i}` }));

describe('the quota', () => {
  it('limits pins and tokens per key, and names the limit', () => {
    const full = several(RETENTIONS_PER_KEY);
    expect(checkQuota(full, 'me', 64)).toMatchObject({
      type: 'quota',
      why: expect.stringContaining(`${RETENTIONS_PER_KEY} pins`),
    });
    expect(checkQuota(full, 'me', 64)).toMatchObject({ why: expect.stringContaining('DELETE /v1/cache/pin/{id}') });
    expect(checkQuota(full, 'other', 64)).toEqual({ type: 'admitted' });
    expect(checkQuota(full, null, 64)).toEqual({ type: 'admitted' });
    const long = [{ ...retention('r'), tokens: RETAINED_TOKENS_PER_KEY - 64 }];
    expect(checkQuota(long, 'me', 64)).toEqual({ type: 'admitted' });
    expect(checkQuota(long, 'me', 65)).toMatchObject({ type: 'quota', why: expect.stringContaining('65 tokens') });
  });

  it('is a number of pins and of tokens for the fleet', () => {
    const others = several(RETENTIONS).map((each, i) => ({ ...each, owner: `o${i}` }));
    expect(checkQuota(others, 'me', 64)).toMatchObject({ type: 'quota', why: expect.stringContaining('the fleet') });
    const long = [{ ...retention('r', { owner: 'other' }), tokens: RETAINED_TOKENS - 64 }];
    expect(checkQuota(long, 'me', 65)).toMatchObject({ type: 'quota', why: expect.stringContaining('the fleet') });
  });
});

describe('the memory for pins', () => {
  const capacity = (worker: string, blocks: number) => ({ worker, blocks, blockBytes: 128 });

  it('is half of the memory of each home of a segment', () => {
    // Ten blocks: a segment of eight at x and y, and one of two at y and z.
    const added = retention('r');
    const [first] = [...new Set(blockKeysOf(added))];
    const homesOf = (segment: string) => (segment === first ? ['x', 'y'] : ['y', 'z']);
    const room = (x: number, y: number, z: number) =>
      checkMemory([], added, homesOf, [capacity('x', x), capacity('y', y), capacity('z', z)]);
    expect(room(16, 20, 4)).toEqual({ type: 'admitted' });
    expect(room(15, 20, 4)).toMatchObject({
      type: 'memory',
      why: expect.stringMatching(/needs 8 blocks \(1024 bytes\) on x.* at most 7 blocks \(896 bytes\)/),
    });
    expect(room(16, 19, 4)).toMatchObject({ type: 'memory', why: expect.stringContaining('on y') });
    expect(room(16, 20, 3)).toMatchObject({ type: 'memory', why: expect.stringContaining('on z') });
  });

  it('counts earlier pins', () => {
    const homesOf = () => ['x'];
    expect(checkMemory([retention('a')], retention('b'), homesOf, [capacity('x', 40)])).toEqual({ type: 'admitted' });
    expect(checkMemory([retention('a')], retention('b'), homesOf, [capacity('x', 39)])).toMatchObject({
      why: expect.stringContaining('pins take 10 blocks (1280 bytes) of at most 19 blocks'),
    });
  });

  function blockKeysOf({ tokens, id }: Retention): string[] {
    const seed = rootSeed({ fingerprint: FINGERPRINT, adapter: '', salt: id });
    return blockKeys(new Uint32Array(tokens), seed).map(({ segment }) => segment);
  }
});
