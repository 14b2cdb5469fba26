import { expect, it } from 'vitest';
import { sampleOf } from '../../../src/core/key-sample.js';
import { saltLabel } from '../../../src/core/salt.js';
import { purge } from '../../../workers/purge.js';
import { MemoryFiles } from './support/block-files.js';
import { Cache, chain } from './support/cache.js';

const isReplica = ({ index }: { index: number }) => index === 0;

it('a purge is not complete while a file of it is on the disk', async () => {
  const files = new MemoryFiles();
  const cache = new Cache(64, { disk: { files, blocks: 64 } });
  const blocks = chain('tenant/a:all:', 2);
  await cache.bring(blocks);
  await cache.store.idle();
  files.stuck.add(blocks[0]!.key);
  const selector = { labels: [saltLabel('tenant/a:all:')], keys: new Set<string>() };
  const options = { store: cache.store, isReplica };
  expect(await purge(selector, options)).toMatchObject({ disk: 2, complete: false });
  files.stuck.clear();
  expect(await purge(selector, options)).toMatchObject({ disk: 0, complete: true });
  expect(await files.list()).toEqual([]);
  await cache.end();
});

it('a purge drops blocks from every tier, with those that stand on them, and counts the copies', async () => {
  const files = new MemoryFiles();
  const cache = new Cache(64, { hostBlocks: 64, disk: { files, blocks: 64 } });
  const [ours, theirs] = [chain('tenant/a:all:', 4), chain('tenant/b:all:', 3)];
  await cache.bring([...ours, ...theirs]);
  await cache.store.idle();
  const { store } = cache;
  const copies = ours.flatMap(({ key }) => store.tiersOf(key));
  const count = (tier: string) => copies.filter((each) => each === tier).length;
  expect(count('device')).toBe(4);
  expect(count('disk')).toBeGreaterThan(0);
  const answer = await purge({ labels: [saltLabel('tenant/a:all:')], keys: new Set() }, { store, isReplica });
  const expected = {
    device: 4,
    host: count('host'),
    disk: count('disk'),
    blocks: 4,
    replicas: 1,
    complete: true,
    beyond: [],
    sample: sampleOf(ours.map(({ key }) => key)),
  };
  expect(answer).toEqual(expected);
  expect(ours.flatMap(({ key }) => store.tiersOf(key))).toEqual([]);
  expect(theirs.every(({ key }) => store.has(key))).toBe(true);
  expect((await files.list()).map(({ key }) => key).sort()).toEqual(
    theirs
      .filter(({ key }) => store.tiersOf(key).includes('disk'))
      .map(({ key }) => key)
      .sort(),
  );
  expect(cache.events.filter((event) => event === '-purged')).toHaveLength(4);
  // By key: the block, and what stands on it.
  const byKey = await purge({ labels: [], keys: new Set([theirs[1]!.key]) }, { store, isReplica });
  expect(byKey).toMatchObject({ device: 2, blocks: 2, beyond: [theirs[2]!.key] });
  expect(store.has(theirs[0]!.key)).toBe(true);
  await cache.end();
});
