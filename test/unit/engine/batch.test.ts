import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ModelFolder, openModelFolder } from '../../../src/model/folder.js';
import { Tokenizer } from '../../../src/model/tokenizer.js';
import { type Answer, ask, noise, Rig, SAMPLED, tinyModel } from './support/rig.js';

/** Batching changes no answer. Batches use other kernels than single rows (matrix-matrix, not matrix-vector), so rounding may differ. */

const SLOTS = 8;
/** The largest difference of log-probabilities that rounding may cause. */
const ROUNDING = 1e-4;

const WORDS = [
  'amber',
  'plum',
  'teal',
  'silver',
  'crimson',
  'ivory',
  'copper',
  'jade',
  'violet',
  'olive',
  'pearl',
  'rust',
];

interface Model {
  readonly folder: ModelFolder;
  /** Prompts of different lengths. */
  readonly prompts: readonly (readonly number[])[];
  readonly remove: () => Promise<void>;
}

async function recall(): Promise<Model> {
  const folder = await openModelFolder(fileURLToPath(new URL('../../../models/recall', import.meta.url)));
  const tokenizer = await Tokenizer.load(folder);
  const prompts = WORDS.map((word, i) => {
    const notes = WORDS.slice(0, i + 1).map((other, at) => `The ${other} box opens with ${1234 + 567 * at}.`);
    return tokenizer.encode(`Notes:\n${notes.join('\n')}\n\nQ: What opens the ${word} box?\nA:`);
  });
  return { folder, prompts, remove: async () => {} };
}

async function tiny(spec: Parameters<typeof tinyModel>[0]): Promise<Model> {
  const { folder, remove } = await tinyModel(spec);
  return { folder, prompts: WORDS.map((_, i) => noise(3 + 41 * i, 512, i + 1)), remove };
}

describe.each([
  ['recall', recall],
  ['tiny', () => tiny({})],
  ['tiny in float16', () => tiny({ dtype: 'float16' })],
] as const)('with the model %s', (_, open) => {
  let model: Model;
  let rig: Rig;
  /** The maximum number of concurrent sequences since it was last set to 0. */
  let together = 0;

  beforeAll(async () => {
    model = await open();
    rig = await Rig.open(model.folder, { slots: SLOTS });
    const run = rig.graph.session.run.bind(rig.graph.session);
    rig.graph.session.run = (...args) => {
      together = Math.max(together, rig.engine.stats().running);
      return run(...args);
    };
  });
  afterAll(async () => {
    expect(await rig.close()).toEqual([]);
    await model.remove();
  });

  /** The answers differ in length, so that sequences join and leave the batch every few steps. */
  const requests = (sampling: (i: number) => object) =>
    model.prompts.map((prompt, i) => ask(prompt, { sampling: sampling(i), stopping: { maxTokens: 20 + 9 * (i % 5) } }));

  async function oneByOne(asked: ReturnType<typeof requests>): Promise<Answer[]> {
    const answers: Answer[] = [];
    for (const request of asked) answers.push(await rig.run(request));
    return answers;
  }

  test.each([
    ['greedy', () => ({ logprobs: 0 })],
    ['sampled', (i: number) => ({ ...SAMPLED, seed: i, logprobs: 0 })],
  ])(
    '%s: in a batch of 8 each sequence gets the tokens that it gets alone, while others join, leave and are cancelled',
    async (_name, sampling) => {
      const asked = requests(sampling);
      const alone = await oneByOne(asked);
      rig.cache.clear();
      together = 0;
      const leavers = [3, 7, 12].map(async (leaveAfter, i) => {
        const ids: number[] = [];
        const request = ask(noise(50 + 30 * i, 512, 90 + i), { stopping: { maxTokens: 200 } });
        for await (const event of rig.engine.generate(request, new AbortController().signal)) {
          if (event.type === 'tokens') ids.push(...event.ids);
          if (ids.length >= leaveAfter) break;
        }
      });
      const batched = await Promise.all(asked.map((request) => rig.run(request)));
      await Promise.all(leavers);
      expect(together).toBe(SLOTS);
      let apart = 0;
      for (const [i, answer] of batched.entries()) {
        expect(answer.ids, `request ${i}`).toEqual(alone[i]!.ids);
        for (const [at, { logprob }] of answer.logprobs.entries()) {
          apart = Math.max(apart, Math.abs(logprob - alone[i]!.logprobs[at]!.logprob));
        }
      }
      expect(apart).toBeLessThan(ROUNDING);
    },
  );
});
