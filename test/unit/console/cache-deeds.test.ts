import { describe, expect, it } from 'vitest';
import { type CacheNews, cacheDeeds, NO_NEWS } from '../../../console/cache/cache-deeds.js';
import type { CachePin, CachePurge } from '../../../src/console/cache-answers.js';

const receipt = { id: 'purge-1' } as CachePurge;

describe('what the page of the cache says', () => {
  it('is of the latest deed alone, and nothing while one runs', async () => {
    const said: (CacheNews | 'pins')[] = [];
    const answers: Record<string, unknown> = { '/v1/cache/pin': { blocks: 4 }, '/v1/cache/purge': receipt };
    const deeds = cacheDeeds({
      api: {
        post: async <T>(path: string) => answers[path] as T,
        delete: async <T>() => ({}) as T,
      },
      show: (news) => said.push(news),
      reload: async () => void said.push('pins'),
    });
    await deeds.pin({ prompt: 'x' }, 1).act();
    await deeds.purge({ what: 'it', body: {} }).act();
    await deeds.release({ id: 'p', tokens: 1, blocks: 1 } as CachePin).act();
    expect(said).toEqual([
      ...[NO_NEWS, { note: 'Pinned 4 blocks.', receipt: null }, 'pins'],
      ...[NO_NEWS, { note: null, receipt }, 'pins'],
      ...[NO_NEWS, { note: 'The pin is released.', receipt: null }, 'pins'],
    ]);
  });

  it('is nothing after a deed that failed', async () => {
    const said: CacheNews[] = [];
    const fails = async () => Promise.reject(new Error('no'));
    const api = { post: fails, delete: fails };
    const deeds = cacheDeeds({ api, show: (news) => said.push(news), reload: async () => {} });
    await expect(deeds.forgetAll().act()).rejects.toThrow('no');
    expect(said).toEqual([NO_NEWS]);
  });
});
