import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InvalidRequest } from '../../../src/errors.js';
import { EVENT_TOKENS } from '../../../src/limits.js';
import type { ModelFolder } from '../../../src/model/folder.js';
import { packTokens } from '../../../src/protocol/generate.js';
import { slowGreedy } from './support/reference.js';
import { ask, noise, Rig, SAMPLED, tinyModel } from './support/rig.js';

describe.each([
  ['in place', { attention: 'gqa' }],
  ['in place, in float16', { attention: 'gqa', dtype: 'float16' }],
  ['handed on', { attention: 'concat' }],
] as const)('with K/V %s', (_, spec) => {
  let folder: ModelFolder;
  let remove: () => Promise<void>;
  let rig: Rig;

  beforeAll(async () => {
    ({ folder, remove } = await tinyModel(spec));
    rig = await Rig.open(folder);
  });
  afterAll(async () => {
    expect(await rig.close()).toEqual([]);
    await remove();
  });

  /** Overwrites the K/V that the last sequence left in its row, lest it pass for K/V copied from the cache. */
  async function scrub(): Promise<void> {
    await rig.run(ask(noise(400, 512, 1234), { stopping: { maxTokens: 1 } }));
  }

  test('the graph is recognised as its kind', () => {
    expect(rig.graph.kind).toBe(spec.attention === 'gqa' ? 'in-place' : 'hand-on');
  });

  test('greedy tokens equal those computed without any K/V', async () => {
    for (const length of [1, 40, 200]) {
      const prompt = noise(length, 512, length);
      const { ids } = await rig.run(ask(prompt));
      expect(new Set(ids).size, 'tokens that differ from each other').toBeGreaterThan(3);
      expect(ids).toEqual(await slowGreedy(rig.graph, prompt, 10));
    }
  });

  test.each([
    ['greedy', {}],
    ['sampled', SAMPLED],
  ])(
    '%s: the tokens are the same whether the prefix is cached, partly cached or not cached',
    async (_name, sampling) => {
      const request = ask(noise(300, 512, 5), { sampling });
      rig.cache.clear();
      const cold = await rig.run(request);
      expect(cold.cached).toEqual({ local: 0, remote: 0, computed: 300 });
      await scrub();
      const warm = await rig.run(request);
      expect(warm.cached).toEqual({ local: 256, remote: 0, computed: 44 });
      rig.cache.clear(2);
      await scrub();
      const partly = await rig.run(request);
      expect(partly.cached).toEqual({ local: 128, remote: 0, computed: 172 });
      expect(cold.ids).toHaveLength(10);
      expect(warm.ids).toEqual(cold.ids);
      expect(partly.ids).toEqual(cold.ids);
    },
  );

  test('blocks that the answer filled are correct too', async () => {
    const prompt = noise(100, 512, 9);
    rig.cache.clear();
    const first = await rig.run(ask(prompt, { stopping: { maxTokens: 120 } }));
    await rig.engine.idle();
    // Of 100 + 120 tokens the last has no K/V, which leaves three full blocks.
    expect(rig.cache.size).toBe(3);
    const longer = [...prompt, ...first.ids, ...noise(30, 512, 10)];
    await scrub();
    const warm = await rig.run(ask(longer));
    expect(warm.cached.local).toBe(192);
    rig.cache.clear();
    await scrub();
    const cold = await rig.run(ask(longer));
    expect(cold.cached.local).toBe(0);
    expect(warm.ids).toEqual(cold.ids);
  });

  test('a prompt shorter than a block is cached together with its answer for the next turn', async () => {
    const prompt = noise(7, 512, 11);
    rig.cache.clear();
    const first = await rig.run(ask(prompt, { salt: 'tenant', stopping: { maxTokens: 70 } }));
    await rig.engine.idle();
    expect(rig.cache.size).toBe(1);
    const longer = [...prompt, ...first.ids];
    expect((await rig.run(ask(longer, { salt: 'other' }))).cached.local).toBe(0);
    await scrub();
    const warm = await rig.run(ask(longer, { salt: 'tenant' }));
    expect(warm.cached.local).toBe(64);
    rig.cache.clear();
    await scrub();
    expect((await rig.run(ask(longer, { salt: 'tenant' }))).ids).toEqual(warm.ids);
  });

  test.each([
    ['greedy', {}],
    ['sampled', { ...SAMPLED, presencePenalty: 0.5, repetitionPenalty: 1.2 }],
  ])('%s: a resumed stream continues with exactly the same tokens', async (_name, sampling) => {
    const prompt = noise(70, 512, 3);
    const stopping = { maxTokens: 24 };
    const whole = await rig.run(ask(prompt, { sampling, stopping }));
    for (const cut of [1, 11, 23]) {
      const resumed = ask([...prompt, ...whole.ids.slice(0, cut)], { sampling, stopping, resumeTokens: cut });
      const rest = await rig.run(resumed);
      expect(rest.ids).toEqual(whole.ids.slice(cut));
      expect(rest.end).toEqual({ reason: 'length', token: null });
    }
  });

  test('chunk sizes do not change the tokens, for prompt lengths around block boundaries', async () => {
    const other = await Rig.open(folder, { prefill: { chunkTokens: 7, pauseMs: 0 } });
    for (const length of [1, 2, 63, 64, 65, 128, 129]) {
      const request = ask(noise(length, 512, length));
      expect((await other.run(request)).ids, `${length} tokens`).toEqual((await rig.run(request)).ids);
    }
    expect(await other.close()).toEqual([]);
  });

  test('more concurrent requests than slots get the same tokens as each alone', async () => {
    const requests = Array.from({ length: 20 }, (_ignored, i) =>
      ask(noise(5 + 23 * (i % 7), 512, i + 20), {
        sampling: i % 2 === 0 ? {} : { ...SAMPLED, seed: i },
        stopping: { maxTokens: 3 + 5 * (i % 4) },
      }),
    );
    const together = await Promise.all(requests.map((request) => rig.run(request)));
    for (const [i, request] of requests.entries()) {
      expect(together[i]!.ids, `request ${i}`).toEqual((await rig.run(request)).ids);
    }
  });

  test('sequences that arrive, end and are cancelled in any order do not disturb each other, and leak nothing', async () => {
    const dice = noise(400, 100, 4321);
    let thrown = 0;
    const roll = (sides: number) => dice[thrown++ % dice.length]! % sides;
    const requests = Array.from({ length: 12 }, (_ignored, i) =>
      ask([...noise(64 * roll(3), 512, 1 + roll(2)), ...noise(1 + roll(40), 512, i + 50)], {
        sampling: roll(2) === 0 ? {} : { ...SAMPLED, seed: i },
        stopping: { maxTokens: 1 + roll(30) },
      }),
    );
    const alone: number[][] = [];
    for (const request of requests) alone.push((await rig.run(request)).ids);
    rig.cache.clear();
    const small = await Rig.open(folder, { slots: 3, budgetBlocks: 5, prefill: { chunkTokens: 48, pauseMs: 0 } });
    const runs = Array.from({ length: 60 }, async () => {
      const which = roll(requests.length);
      const leaveAfter = roll(3) === 0 ? roll(12) : Number.POSITIVE_INFINITY;
      const ids: number[] = [];
      for await (const event of small.engine.generate(requests[which]!, new AbortController().signal)) {
        if (event.type === 'tokens') ids.push(...event.ids);
        if (ids.length >= leaveAfter) break;
      }
      expect(ids, `request ${which}`).toEqual(alone[which]!.slice(0, ids.length));
      if (leaveAfter > 100) expect(ids).toHaveLength(alone[which]!.length);
    });
    await Promise.all(runs);
    expect(await small.close()).toEqual([]);
  });

  test('log-probabilities of an answer agree with those of the same tokens as a prompt', async () => {
    const prompt = noise(150, 512, 77);
    const sampling = { logprobs: 3 };
    const first = await rig.run(ask(prompt, { sampling }));
    const all = [...prompt, ...first.ids];
    const echoed = await rig.run(
      ask(all, { sampling: { ...sampling, promptLogprobs: true }, stopping: { maxTokens: 0 } }),
    );
    expect(echoed.types).toEqual(['start', 'prompt', 'end']);
    expect(echoed.end).toEqual({ reason: 'length', token: null });
    expect(echoed.cached.computed).toBe(160);
    expect(echoed.prompt).toHaveLength(160);
    expect(echoed.prompt![0]).toBeNull();
    for (const [i, token] of first.logprobs.entries()) {
      const again = echoed.prompt![150 + i]!;
      expect(again.logprob).toBeCloseTo(token.logprob, 4);
      expect(again.top.map(([id]) => id)).toEqual(token.top.map(([id]) => id));
      expect(token.top[0]![0]).toBe(first.ids[i]);
    }
  });

  test('a prompt has alternatives of its own number, and the ranks of its tokens', async () => {
    const prompt = noise(70, 512, 80);
    const sampling = { logprobs: 1, promptLogprobs: true, promptAlternatives: 20 };
    const { prompt: ranked, logprobs } = await rig.run(ask(prompt, { sampling }));
    expect(logprobs[0]!.top).toHaveLength(1);
    expect(logprobs[0]).not.toHaveProperty('rank');
    let among = 0;
    for (const [i, token] of ranked!.entries()) {
      if (i === 0) continue;
      expect(token!.top).toHaveLength(20);
      const better = token!.top.filter(([, logprob]) => logprob > token!.logprob).length;
      if (token!.rank! <= 20) expect(token!.rank).toBe(better + 1);
      else expect(better).toBe(20);
      if (token!.top.some(([id]) => id === prompt[i])) among++;
    }
    expect(among).toBe(ranked!.filter((token) => token !== null && token.rank! <= 20).length);
  });

  test('an answer under rules for its tokens keeps to them when another worker goes on with it', async () => {
    const prompt = noise(40, 512, 81);
    const free = await rig.run(ask(prompt));
    const sampling = { banned: [[free.ids[0]!, free.ids[1]!], [free.ids[4]!]] };
    const ruled = await rig.run(ask(prompt, { sampling }));
    expect(ruled.ids[0]).toBe(free.ids[0]);
    expect(ruled.ids[1]).not.toBe(free.ids[1]);
    expect(ruled.ids).not.toContain(free.ids[4]);
    const resumed = await rig.run(ask([...prompt, ruled.ids[0]!], { sampling, resumeTokens: 1 }));
    expect(resumed.ids).toEqual(ruled.ids.slice(1));
    const allowed = packTokens([3, 5, 8]);
    const { ids } = await rig.run(ask(prompt, { sampling: { allowed, temperature: 2 } }));
    expect(new Set([3, 5, 8, ...ids])).toEqual(new Set([3, 5, 8]));
  });

  test('log-probabilities of a long prompt arrive in several events, each exactly once', async () => {
    const prompt = noise(2 * EVENT_TOKENS + 30, 512, 78);
    const wanted = { sampling: { logprobs: 1, promptLogprobs: true }, stopping: { maxTokens: 1 } };
    const whole = await rig.run(ask(prompt, wanted));
    expect(whole.types).toEqual(['start', 'prompt', 'prompt', 'prompt', 'tokens', 'end']);
    expect(whole.prompt).toHaveLength(prompt.length);
    const short = await rig.run(ask(prompt.slice(0, EVENT_TOKENS), wanted));
    expect(short.types).toEqual(['start', 'prompt', 'tokens', 'end']);
    for (const [i, token] of short.prompt!.entries()) {
      expect(whole.prompt![i]?.logprob ?? null).toEqual(token === null ? null : expect.closeTo(token.logprob, 4));
    }
  });

  test('a prompt may fill the context if no answer is requested', async () => {
    const prompt = noise(rig.graph.contextTokens, 512, 79);
    const { types, prompt: given } = await rig.run(
      ask(prompt, { sampling: { logprobs: 0, promptLogprobs: true }, stopping: { maxTokens: 0 } }),
    );
    expect(types.at(-1)).toBe('end');
    expect(given).toHaveLength(prompt.length);
    await expect(rig.run(ask([...prompt, 1], { stopping: { maxTokens: 0 } }))).rejects.toBeInstanceOf(InvalidRequest);
  });
});
