import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ON_PREFIX } from '../../../src/core/kv-dependence.js';
import { NO_OBSERVER } from '../../../src/engine/observer.js';
import { speculationNotice } from '../../../src/engine/speculation.js';
import type { ModelFolder } from '../../../src/model/folder.js';
import { type GenerateRequest, packTokens } from '../../../src/protocol/generate.js';
import { ask, collect, noise, Rig, SAMPLED, tinyModel } from './support/rig.js';

/** A prompt of three different tokens: what follows three of them is soon known, and right now and then. */
const quoting = (seed: number) => noise(100, 3, seed).map((id) => id + 5);
const allowed = packTokens(Uint32Array.of(5, 6, 7));
const FEW = { allowed };

describe.each([{ dtype: 'float32' }, { dtype: 'float16' }] as const)('tokens guessed with $dtype', (spec) => {
  let folder: ModelFolder;
  let remove: () => Promise<void>;
  let plain: Rig;
  let guessing: Rig;
  const guessed = { right: 0, wrong: 0 };

  beforeAll(async () => {
    ({ folder, remove } = await tinyModel({ attention: 'gqa', ...spec }));
    plain = await Rig.open(folder);
    const onGuessed = (tokens: number, right: number) => {
      guessed.right += right;
      guessed.wrong += tokens - right;
    };
    // Without a clock, guesses seem cheap on any machine.
    guessing = await Rig.open(folder, { draftTokens: 7, observer: { ...NO_OBSERVER, onGuessed }, clockNow: () => 0 });
  });
  afterAll(async () => {
    expect(await plain.close()).toEqual([]);
    expect(await guessing.close()).toEqual([]);
    await remove();
  });

  async function expectSame(request: GenerateRequest): Promise<readonly number[]> {
    const [expected, got] = [await plain.run(request), await guessing.run(request)];
    expect(got.ids).toEqual(expected.ids);
    expect(got.end).toEqual(expected.end);
    return got.ids;
  }

  test.each([
    ['greedy', FEW],
    ['sampled', { ...SAMPLED, ...FEW }],
    ['with penalties', { ...FEW, repetitionPenalty: 1.3, presencePenalty: 0.5 }],
  ])('%s: answers are the same', async (_, sampling) => {
    Object.assign(guessed, { right: 0, wrong: 0 });
    for (let seed = 1; seed <= 6; seed++) {
      await expectSame(ask(quoting(seed), { sampling, stopping: { maxTokens: 90 } }));
    }
    expect(guessed.right, 'right tokens').toBeGreaterThan(20);
    expect(guessed.wrong, 'wrong tokens').toBeGreaterThan(10);
  });

  test('an answer ends where it would without guesses', async () => {
    const whole = await expectSame(ask(quoting(1), { sampling: FEW, stopping: { maxTokens: 60 } }));
    for (const maxTokens of [1, 2, 3, 17, 31, 59]) {
      expect(await expectSame(ask(quoting(1), { sampling: FEW, stopping: { maxTokens } }))).toEqual(
        whole.slice(0, maxTokens),
      );
    }
    for (const token of new Set(whole)) {
      await expectSame(ask(quoting(1), { sampling: FEW, stopping: { maxTokens: 60, tokenIds: [token] } }));
    }
  });

  test('log-probabilities are those of each token', async () => {
    const request = ask(quoting(2), { sampling: { ...FEW, logprobs: 2 }, stopping: { maxTokens: 40 } });
    const [expected, got] = [await plain.run(request), await guessing.run(request)];
    expect(got.logprobs).toHaveLength(40);
    for (const [i, { logprob, top }] of got.logprobs.entries()) {
      expect(Math.abs(logprob - expected.logprobs[i]!.logprob)).toBeLessThan(spec.dtype === 'float32' ? 1e-3 : 0.1);
      expect(top.map(([token]) => token)).toEqual(expected.logprobs[i]!.top.map(([token]) => token));
    }
  });

  test('blocks that guessed tokens filled are right', async () => {
    const prompt = quoting(3);
    guessing.cache.clear();
    const { ids } = await guessing.run(ask(prompt, { sampling: FEW, stopping: { maxTokens: 200 } }));
    await guessing.engine.idle();
    expect(guessing.cache.size).toBe(4);
    const longer = ask([...prompt, ...ids, ...noise(20, 512, 99)]);
    await guessing.run(ask(noise(400, 512, 1234), { stopping: { maxTokens: 1 } }));
    const warm = await guessing.run(longer);
    expect(warm.cached.local).toBe(256);
    plain.cache.clear();
    expect(warm.ids).toEqual((await plain.run(longer)).ids);
  });

  test('answers that run together, begin and end at any time, are the same', async () => {
    const requests = Array.from({ length: 6 }, (_, i) =>
      ask(quoting(i + 1), {
        stopping: { maxTokens: 20 + 25 * i },
        sampling: i % 2 === 0 ? FEW : { ...SAMPLED, ...FEW },
      }),
    );
    const expected = [];
    for (const request of requests) expected.push((await plain.run(request)).ids);
    const signal = new AbortController().signal;
    const got = await Promise.all(requests.map((request) => collect(guessing.engine.generate(request, signal))));
    expect(got.map(({ ids }) => ids)).toEqual(expected);
  });

  test('a resumed answer goes on as it was', async () => {
    const stopping = { maxTokens: 60 };
    const whole = await expectSame(ask(quoting(4), { sampling: FEW, stopping }));
    for (const cut of [1, 20, 41]) {
      const rest = await expectSame(
        ask([...quoting(4), ...whole.slice(0, cut)], { sampling: FEW, stopping, resumeTokens: cut }),
      );
      expect(rest).toEqual(whole.slice(cut));
    }
  });
});

test('graphs that cannot take tokens back are named', async () => {
  const layout = { elementType: 'float32' } as const;
  const graph = { kind: 'in-place', dependence: ON_PREFIX, layout, lastLogitsOnly: false } as never as Parameters<
    typeof speculationNotice
  >[0];
  expect(speculationNotice(graph, null, layout)).toBeNull();
  expect(speculationNotice({ ...graph, kind: 'hand-on' }, null, layout)).toContain('joins past and new K/V');
  expect(speculationNotice({ ...graph, lastLogitsOnly: true }, null, layout)).toContain('logits of the last position');
  expect(speculationNotice({ ...graph, dependence: { kind: 'run', reason: 'q8' } }, null, layout)).toContain(
    'more than',
  );
  const trial = { chunk: 0, hit: 0, batch: 0, step: 0.5 };
  expect(speculationNotice(graph, trial, layout)).toContain('other numbers');
});

test('with a graph that hands on its K/V, nothing is guessed', async () => {
  const { folder, remove } = await tinyModel({ attention: 'concat' });
  const observer = { ...NO_OBSERVER, onGuessed: () => expect.fail('tokens were guessed') };
  const rig = await Rig.open(folder, { draftTokens: 7, observer });
  await rig.run(ask(quoting(1), { sampling: FEW, stopping: { maxTokens: 60 } }));
  expect(await rig.close()).toEqual([]);
  await remove();
});
