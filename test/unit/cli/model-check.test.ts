import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { synthesize } from '../../../bench/synth/model-folder.js';
import { SYNTH_PRESETS } from '../../../bench/synth/spec.js';
import { modelCheck } from '../../../cli/model-check.js';
import { Refused } from '../../../src/errors.js';
import { dynamicallyQuantizedModel, longRopeModel } from '../../support/dependent-models.js';

const pathOf = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const RECALL = pathOf('models/recall');
/** Greedy answers of models/recall by plain ONNX Runtime, one run of the whole text for each token. */
const ANSWERS = pathOf('test/vectors/recall-answers.json');

let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-check-'));
});

afterAll(() => rm(dir, { recursive: true, force: true }));

async function check(model: string, flags: Record<string, unknown> = {}) {
  let out = '';
  const io = { out: (text: string) => (out += text), err: () => {} };
  const code = await modelCheck({ flags: { device: 'cpu', ...flags }, args: [model], environment: {}, io });
  return { code, out };
}

async function checkJson(model: string, flags: Record<string, unknown> = {}) {
  const { code, out } = await check(model, { json: true, ...flags });
  return { code, report: JSON.parse(out) };
}

/** The reference with its first text changed. */
async function changed(change: (text: { prompt: string; answer: number[]; logprobs: number[] }) => void) {
  const reference = JSON.parse(await readFile(ANSWERS, 'utf8'));
  change(reference.texts[0]);
  const path = join(dir, 'changed.json');
  await writeFile(path, JSON.stringify(reference));
  return path;
}

describe('shoal model check', () => {
  it('shows what a model is, and that its numbers are the same however it is run', async () => {
    const { code, report } = await checkJson(RECALL);
    expect(code).toBe(0);
    expect(report).toMatchObject({
      model: {
        name: 'recall',
        modelType: 'llama',
        rope: { theta: 10_000 },
        windowTokens: null,
        template: 'without tools',
      },
      graph: { kind: 'in-place', dependence: { kind: 'prefix' }, vocab: 990, contextTokens: 4_096 },
      bytes: { perToken: 4_096, perBlock: 64 * 4_096, perSlot: 4_096 * 4_096 },
      disagreements: [],
    });
    expect(report.bytes.perRun).toBeGreaterThan(0);
    expect(report.ways).toHaveLength(5);
    for (const { difference } of report.ways) expect(difference).toBeLessThan(1e-3);
  });

  it('says it in words', async () => {
    const { out } = await check(RECALL, { reference: ANSWERS });
    expect(out).toMatch(/^K\/V depends on +the tokens before it$/m);
    expect(out).toMatch(/^K\/V appended in place and handed on from run to run +0\.\d+ +agrees$/m);
    expect(out).toMatch(/^reference +onnxruntime .*: 2 of 2 prompts and 16 of 16 tokens equal/m);
  });

  it('refuses a tokenizer that the coordinator could not load, and a context that is too short', async () => {
    const model = join(dir, 'damaged');
    await synthesize(SYNTH_PRESETS.tiny, model);
    const config = JSON.parse(await readFile(join(model, 'config.json'), 'utf8'));
    await writeFile(join(model, 'config.json'), JSON.stringify({ ...config, max_position_embeddings: 1 }));
    await expect(check(model)).rejects.toThrow(/states a context of 1 tokens; at least 4 are needed/);
    await writeFile(join(model, 'tokenizer.json'), '{"model":');
    await expect(check(model)).rejects.toThrow(/tokenizer.json: it is not JSON; fetch it again/);
  });

  it('names the model that ONNX Runtime cannot load, and what to do', async () => {
    const model = join(dir, 'cut');
    await synthesize(SYNTH_PRESETS.tiny, model, { inlineBytes: 0 });
    await truncate(join(model, 'onnx', 'model.onnx_data'), 100_000);
    await expect(check(model)).rejects.toThrow(
      /cannot load the model .*cut\/onnx\/model.onnx: .*; fetch or export it again$/s,
    );
  });

  it('takes a context of any length that is stated', async () => {
    const model = join(dir, 'endless');
    await synthesize({ ...SYNTH_PRESETS.tiny, attention: 'concat' }, model);
    const config = JSON.parse(await readFile(join(model, 'config.json'), 'utf8'));
    await writeFile(join(model, 'config.json'), JSON.stringify({ ...config, max_position_embeddings: 1e12 }));
    expect((await checkJson(model)).code).toBe(0);
  });

  it('compares nothing that a graph cannot do', async () => {
    const model = join(dir, 'concat');
    await synthesize({ ...SYNTH_PRESETS.tiny, attention: 'concat' }, model);
    const { code, report } = await checkJson(model);
    expect(code).toBe(0);
    expect(report.graph.kind).toBe('hand-on');
    expect(report.ways.at(-1)).toMatchObject({ difference: null, agrees: true });
  });

  it('names what K/V depends on, and agrees in the way in which such a graph is run', async () => {
    const [quantized, long] = [join(dir, 'quantized'), join(dir, 'long')];
    await dynamicallyQuantizedModel(RECALL, quantized);
    await longRopeModel(RECALL, long, 512);
    expect(await checkJson(quantized)).toMatchObject({ code: 0, report: { graph: { dependence: { kind: 'run' } } } });
    expect(await checkJson(long)).toMatchObject({ code: 0, report: { graph: { dependence: { kind: 'border' } } } });
  });

  it('finds tokens and log-probabilities that are not those of a reference', async () => {
    const same = await checkJson(RECALL, { reference: ANSWERS });
    expect(same.report.reference).toMatchObject({ texts: 2, otherTokens: 0, answerTokens: 16, otherChoices: 0 });
    expect(same.report.reference.logprobs).toBeLessThan(1e-4);
    expect(same.code).toBe(0);
    const wrong: [(text: { prompt: string; answer: number[]; logprobs: number[] }) => void, RegExp][] = [
      [(text) => (text.prompt += '!'), /1 of 2 prompts have other tokens/],
      [(text) => (text.answer[3] = 5), /of 16 tokens of answers differ/],
      [(text) => (text.logprobs[2]! -= 0.5), /log-probabilities differ by 0\.5/],
    ];
    for (const [change, message] of wrong) {
      const { code, report } = await checkJson(RECALL, { reference: await changed(change) });
      expect(code).toBe(1);
      expect(report.disagreements.join('\n')).toMatch(message);
    }
  });

  it('takes a reference that does not say how it was made', async () => {
    const { made_with: _, ...reference } = JSON.parse(await readFile(ANSWERS, 'utf8'));
    const path = join(dir, 'anonymous.json');
    await writeFile(path, JSON.stringify(reference));
    expect((await checkJson(RECALL, { reference: path })).report.reference).toMatchObject({ madeWith: null, texts: 2 });
    expect((await check(RECALL, { reference: path })).out).toMatch(/^reference +2 of 2 prompts/m);
  });

  it.each(['NaN', 'Infinity', '-Infinity', 'null'])('names the place of %s in a reference', async (number) => {
    const reference = JSON.parse(await readFile(ANSWERS, 'utf8'));
    reference.texts[1].logprobs[2] = 'here';
    const path = join(dir, 'numbers.json');
    await writeFile(path, JSON.stringify(reference).replace('"here"', number));
    await expect(check(RECALL, { reference: path })).rejects.toThrow(
      `cannot read the reference ${path}: texts.1.logprobs.2: must be a finite number`,
    );
  });

  it('refuses a reference that it cannot read', async () => {
    for (const reference of [
      join(dir, 'none.json'),
      join(RECALL, 'config.json'),
      await changed((text) => text.answer.pop()),
    ])
      await expect(check(RECALL, { reference })).rejects.toThrow(Refused);
  });
});
