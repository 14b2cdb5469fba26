import { afterAll, beforeAll, expect, test } from 'vitest';
import { RestingBlocks } from '../../../src/engine/resting-blocks.js';
import type { ModelFolder } from '../../../src/model/folder.js';
import { slowGreedy } from './support/reference.js';
import { ask, noise, Rig, tinyModel } from './support/rig.js';

const VOCAB = 512;
const ONE_TOKEN = { maxTokens: 1 };

let folder: ModelFolder;
let remove: () => Promise<void>;
let rig: Rig;

beforeAll(async () => {
  ({ folder, remove } = await tinyModel({ attention: 'gqa' }));
  rig = await Rig.open(folder, { slots: 3 });
});
afterAll(async () => {
  expect(await rig.close()).toEqual([]);
  await remove();
});

async function bytesCopiedBy(run: () => Promise<unknown>): Promise<number> {
  const before = rig.device.copies().d2d;
  await run();
  return rig.device.copies().d2d - before;
}

test('a row knows the blocks at its beginning until they are overwritten', () => {
  const [a, b, c] = [{ id: 1 }, { id: 2 }, { id: 3 }];
  const resting = new RestingBlocks(2, 64);
  resting.has(0, 0, a);
  resting.has(0, 64, b);
  resting.has(0, 192, c);
  expect([resting.common(0, [a, b, c]), resting.common(0, [b, a]), resting.common(1, [a])]).toEqual([2, 0, 0]);
  resting.copied(0, 1, 127);
  expect(resting.common(1, [a, b])).toBe(1);
  resting.truncate(0, 64);
  expect(resting.common(0, [a, b])).toBe(1);
  resting.truncate(0, 63);
  expect(resting.common(0, [a, b])).toBe(0);
  resting.clear();
  expect(resting.common(1, [a])).toBe(0);
});

test('what rests in a row is not copied again, and only then', async () => {
  const shared = noise(200, VOCAB, 7);
  const asked = (seed: number) => ask([...shared, ...noise(20, VOCAB, seed)], { stopping: ONE_TOKEN });
  await rig.run(asked(1));
  const hit = await bytesCopiedBy(async () => {
    expect((await rig.run(asked(2))).cached.local).toBe(192);
  });
  expect(hit).toBe(0);
  await rig.run(ask(noise(300, VOCAB, 99), { stopping: ONE_TOKEN }));
  expect(await bytesCopiedBy(() => rig.run(asked(3)))).toBeGreaterThan(0);
});

test('what rests in a row is not used once the cache has dropped it', async () => {
  const request = ask(noise(200, VOCAB, 8), { stopping: ONE_TOKEN });
  await rig.run(request);
  rig.cache.clear();
  expect((await rig.run(request)).cached.local).toBe(0);
});

test('a conversation goes on in the row of its last turn', async () => {
  const first = noise(100, VOCAB, 9);
  const { ids } = await rig.run(ask(first, { stopping: { maxTokens: 100 } }));
  const next = [...first, ...ids, ...noise(30, VOCAB, 10)];
  const copied = await bytesCopiedBy(async () => {
    const answer = await rig.run(ask(next, { stopping: ONE_TOKEN }));
    expect(answer.cached.local).toBe(192);
    expect(answer.ids).toEqual(await slowGreedy(rig.graph, next, 1));
  });
  expect(copied).toBe(0);
});

test('prompts with common beginnings that run at the same time, in any order, have the tokens that they have alone', async () => {
  const prefixes = [noise(130, VOCAB, 11), noise(130, VOCAB, 12)];
  const prompts = Array.from({ length: 6 }, (_, i) => [...prefixes[i % 2]!, ...noise(10 + 17 * i, VOCAB, 20 + i)]);
  const expected: number[][] = [];
  for (const prompt of prompts) expected.push(await slowGreedy(rig.graph, prompt, 6));
  const order = noise(30, prompts.length, 3);
  const lengths = noise(30, 6, 4);
  for (let at = 0; at < order.length; at += 3) {
    // The second starts beside the first, and so on: they end at different times, and rows move.
    const together = order.slice(at, at + 3).map(async (which, i) => {
      const maxTokens = 1 + lengths[at + i]!;
      const { ids } = await rig.run(ask(prompts[which]!, { stopping: { maxTokens } }));
      expect(ids).toEqual(expected[which]!.slice(0, maxTokens));
    });
    await Promise.all(together);
    if (at % 9 === 6) rig.cache.clear(1);
  }
});
