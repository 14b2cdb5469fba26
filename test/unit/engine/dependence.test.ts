import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeTwin } from '../../../bench/twins/twin-folder.js';
import { TWINS } from '../../../bench/twins/twins.js';
import { type ModelFolder, openModelFolder } from '../../../src/model/folder.js';
import { Tokenizer } from '../../../src/model/tokenizer.js';
import { dynamicallyQuantizedModel, longRopeModel, pastPositionsModel } from '../../support/dependent-models.js';
import { SPELLINGS } from '../../support/length-spellings.js';
import { slowGreedy } from './support/reference.js';
import { type Answer, ask, noise, Rig } from './support/rig.js';

/** Graphs whose K/V depends on more than the prefix answer as they would without a cache, alone. */

const RECALL = fileURLToPath(new URL('../../../models/recall', import.meta.url));
const BORDER_TOKENS = 200;
const ANSWER_TOKENS = 24;

let dir: string;
let encode: (text: string) => number[];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-dependence-'));
  const tokenizer = await Tokenizer.load(await openModelFolder(RECALL));
  encode = (text) => [...tokenizer.encode(text)];
});

afterAll(() => rm(dir, { recursive: true, force: true }));

/** A prompt of `lines` notes; prompts of one seed begin alike. */
function notes(seed: number, lines: number): number[] {
  const text = Array.from({ length: lines }, (_, i) => `The box ${seed + i} opens with ${1000 + 37 * seed + 613 * i}.`);
  return encode(`Notes:\n${text.join('\n')}\nQ: What opens the box ${seed}?\nA:`);
}

const ASKED = { sampling: { logprobs: 2 }, stopping: { maxTokens: ANSWER_TOKENS } };
const request = (prompt: readonly number[], logprobs = false) =>
  ask(prompt, {
    sampling: { logprobs: 2, promptLogprobs: logprobs },
    stopping: { maxTokens: ANSWER_TOKENS },
  });

describe('a graph with a border of length', () => {
  let folder: ModelFolder;
  let rig: Rig;
  const short = () => notes(1, 6);
  const long = () => notes(1, 20);

  beforeAll(async () => {
    const to = join(dir, 'long-rope');
    await longRopeModel(RECALL, to, BORDER_TOKENS);
    folder = await openModelFolder(to);
    rig = await Rig.open(folder);
  });

  afterAll(async () => expect(await rig.close()).toEqual([]));

  /** Greedy decoding by the graph as it is in the file, all tokens in one run for each new one. */
  async function reference(prompt: readonly number[]): Promise<number[]> {
    const { runtime, names } = rig.graph;
    const session = await runtime.openSession(folder.graphPath, {
      ...{ provider: { name: 'cpu' }, intraOpThreads: 2, allowSpinning: false },
    });
    try {
      const plain = { ...rig.graph, session, names: { ...names, logitsToKeep: null, regimeTokens: null } };
      return await slowGreedy(plain, prompt, ANSWER_TOKENS);
    } finally {
      session.release();
    }
  }

  it('is recognised', () => {
    expect(rig.graph.dependence).toEqual({ kind: 'border', borderTokens: BORDER_TOKENS });
    expect(short().length).toBeLessThan(BORDER_TOKENS - ANSWER_TOKENS);
    expect(long().length).toBeGreaterThan(BORDER_TOKENS + 64);
  });

  it('answers long prompts by one table from the first token on, though chunks of them are short', async () => {
    expect((await rig.run(request(long()))).ids).toEqual(await reference(long()));
  });

  it('does not use K/V of a short prompt for a long one that begins alike, but that of a long one', async () => {
    await rig.run(request(long().slice(0, 150)));
    const answer = await rig.run(request([...long(), ...encode(' 1')]));
    expect(answer.ids).toEqual(await reference([...long(), ...encode(' 1')]));
    expect(answer.cached.local).toBe(64 * Math.floor(long().length / 64));
    expect((await rig.run(request(long().slice(0, 151)))).ids).toEqual(await reference(long().slice(0, 151)));
  });

  it('computes a sequence anew that grows over the border, and starts only once', async () => {
    const prompt = long().slice(0, BORDER_TOKENS - 10);
    const answer = await rig.run(request(prompt));
    expect(answer.ids).toEqual(await reference(prompt));
    expect(answer.types.filter((type) => type === 'start')).toHaveLength(1);
  });

  it('answers short and long sequences that run at the same time', async () => {
    const prompts = [short(), long(), notes(40, 5), notes(40, 19), long().slice(0, BORDER_TOKENS - 5)];
    const answers = await Promise.all(prompts.map((prompt) => rig.run(request(prompt))));
    for (const [i, prompt] of prompts.entries()) expect(answers[i]!.ids).toEqual(await reference(prompt));
  });
});

describe.each(SPELLINGS)('a graph that spells its border by %s', (spelling) => {
  it('answers a long prompt as alone, after a short one that begins alike', async () => {
    const to = join(dir, spelling);
    await longRopeModel(RECALL, to, BORDER_TOKENS, spelling);
    const folder = await openModelFolder(to);
    const rig = await Rig.open(folder);
    expect(rig.graph.dependence.kind).toBe(spelling === 'where' || spelling === 'if' ? 'border' : 'length');
    const long = notes(1, 20);
    await rig.run(request(long.slice(0, 150)));
    const cold = await rig.run(request(long));
    const again = await rig.run(request(long));
    const { runtime, names } = rig.graph;
    const session = await runtime.openSession(folder.graphPath, {
      ...{ provider: { name: 'cpu' }, intraOpThreads: 2, allowSpinning: false },
    });
    const plain = { ...rig.graph, session, names: { ...names, logitsToKeep: null, regimeTokens: null } };
    const expected = await slowGreedy(plain, long, 1);
    session.release();
    expect(cold.ids.slice(0, 1)).toEqual(expected);
    expect(again.ids).toEqual(cold.ids);
    for (const [i, { logprob }] of again.logprobs.entries()) expect(logprob).toBeCloseTo(cold.logprobs[i]!.logprob, 3);
    expect(await rig.close()).toEqual([]);
  });
});

it('takes no longer sequences than one table is right for, where config.json names two and the graph has one', async () => {
  const to = join(dir, 'one-table');
  const twin = TWINS[1]!;
  const long = {
    original_max_position_embeddings: 128,
    rope_scaling: { type: 'longrope', short_factor: [1], long_factor: [2] },
  };
  await writeTwin({ ...twin, config: { ...twin.config, ...long } }, to);
  const rig = await Rig.open(await openModelFolder(to));
  expect(rig.graph.contextTokens).toBe(128);
  await expect(rig.run(request(noise(128, twin.vocab)))).rejects.toThrow(/128/);
  expect((await rig.run(request(noise(100, twin.vocab)))).ids).toHaveLength(ANSWER_TOKENS);
  expect(await rig.close()).toEqual([]);
});

it.each(TWINS.filter(({ kvType }) => kvType !== 'float'))(
  'gives the same numbers cold and cached, however long the runs may be, with K/V of type $kvType',
  async (twin) => {
    const to = join(dir, twin.kvType);
    await writeTwin(twin, to);
    const folder = await openModelFolder(to);
    const rig = await Rig.open(folder);
    const small = await Rig.open(folder, { prefill: { chunkTokens: 48, pauseMs: 0 } });
    const prefix = noise(128, twin.vocab);
    await rig.run(request(prefix));
    for (let i = 0; i < 10; i++) {
      const prompt = [...prefix, ...noise(10 + i, twin.vocab, i)];
      const cached = await rig.run(request(prompt));
      expect(cached.cached.local).toBe(128);
      const cold = await small.run(ask(prompt, { ...ASKED, salt: `${i}` }));
      expect(cold.cached.local).toBe(0);
      expect([cached.ids, cached.logprobs]).toEqual([cold.ids, cold.logprobs]);
    }
    expect([...(await rig.close()), ...(await small.close())]).toEqual([]);
  },
);

it('answers by a graph that takes the number of past tokens from the shape of past K/V as ONNX Runtime does', async () => {
  const to = join(dir, 'past-positions');
  await pastPositionsModel(RECALL, to);
  const folder = await openModelFolder(to);
  const rig = await Rig.open(folder);
  const prompts = [notes(1, 6), notes(1, 7)];
  const alone: number[][] = [];
  for (const prompt of prompts) alone.push((await rig.run(request(prompt))).ids);
  const crowd = await Promise.all(prompts.map((prompt) => rig.run(request(prompt))));
  const { runtime, names } = rig.graph;
  const session = await runtime.openSession(folder.graphPath, {
    ...{ provider: { name: 'cpu' }, intraOpThreads: 2, allowSpinning: false },
  });
  const plain = { ...rig.graph, session, names: { ...names, logitsToKeep: null } };
  for (const [i, prompt] of prompts.entries()) {
    const expected = await slowGreedy(plain, prompt, 4);
    expect(alone[i]!.slice(0, 4)).toEqual(expected);
    expect(crowd[i]!.ids.slice(0, 4)).toEqual(expected);
  }
  session.release();
  expect(await rig.close()).toEqual([]);
});

describe.each(['operator', 'spelled out'] as const)('a dynamically quantized graph, %s', (spelling) => {
  let rig: Rig;
  let uncached: Rig;

  beforeAll(async () => {
    const to = join(dir, `quantized ${spelling}`);
    await dynamicallyQuantizedModel(RECALL, to, spelling);
    const folder = await openModelFolder(to);
    rig = await Rig.open(folder);
    uncached = await Rig.open(folder, { budgetBlocks: 1 });
  });

  afterAll(async () => expect([...(await rig.close()), ...(await uncached.close())]).toEqual([]));

  const prompts = () => [3, 8, 14, 20].flatMap((lines) => [notes(lines, lines), notes(lines, lines + 1)]);
  const essence = ({ ids, logprobs, prompt, end }: Answer) => ({ ids, logprobs, prompt, end });

  it('is recognised', () => {
    expect(rig.graph.dependence.kind).toBe('run');
  });

  it('gives the same numbers cold, cached, and in a crowd', async () => {
    const alone: Answer[] = [];
    for (const prompt of prompts()) alone.push(await uncached.run(request(prompt)));
    const cold: Answer[] = [];
    for (const prompt of prompts()) cold.push(await rig.run(request(prompt)));
    const cached: Answer[] = [];
    for (const prompt of prompts()) cached.push(await rig.run(request(prompt)));
    const crowd = await Promise.all(prompts().map((prompt) => rig.run(request(prompt))));
    for (const answers of [cold, cached, crowd]) expect(answers.map(essence)).toEqual(alone.map(essence));
    expect(cached.every(({ cached: { local } }, i) => local === 64 * Math.floor((prompts()[i]!.length - 1) / 64))).toBe(
      true,
    );
  });

  it('gives the same numbers to a request for the log-probabilities of its prompt', async () => {
    for (const prompt of prompts()) {
      const [plain, echoed] = [await rig.run(request(prompt)), await rig.run(request(prompt, true))];
      expect(essence(echoed)).toEqual({ ...essence(plain), prompt: echoed.prompt });
    }
  });

  it('gives the same numbers to a request that another worker has begun', async () => {
    const [prompt = []] = prompts().slice(-1);
    const whole = await rig.run(request(prompt));
    const begun = 9;
    const rest = await rig.run(
      ask([...prompt, ...whole.ids.slice(0, begun)], {
        resumeTokens: begun,
        sampling: { logprobs: 2 },
        stopping: { maxTokens: ANSWER_TOKENS },
      }),
    );
    expect(rest.ids).toEqual(whole.ids.slice(begun));
    expect(rest.logprobs).toEqual(whole.logprobs.slice(begun));
  });
});
