import { execFileSync } from 'node:child_process';
import { cp, mkdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { synthesize } from '../../../bench/synth/model-folder.js';
import { SYNTH_PRESETS } from '../../../bench/synth/spec.js';
import { Refused } from '../../../src/errors.js';
import { openModelFolder } from '../../../src/model/folder.js';
import { MODEL_JSON_BYTES } from '../../../src/model/model-json.js';
import { externalTensorMessage, GRAPH, MODEL } from '../../../src/model/onnx/messages.js';
import { bytesField } from '../../../src/model/onnx/wire.js';
import { RECALL, scratchFolder } from './folders.js';

let scratch: string;
let made = 0;

beforeAll(async () => {
  scratch = await scratchFolder();
  await synthesize(SYNTH_PRESETS.tiny, join(scratch, 'tiny'));
});

/** A copy of the tiny model with some files replaced (by text or JSON) or missing (null). */
async function variantOf(changes: Record<string, unknown>): Promise<string> {
  const folder = join(scratch, `copy-${made++}`);
  await cp(join(scratch, 'tiny'), folder, { recursive: true });
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) await rm(join(folder, name), { recursive: true });
    else await writeFile(join(folder, name), typeof value === 'string' ? value : JSON.stringify(value));
  }
  return folder;
}

const config = {
  hidden_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  max_position_embeddings: 2048,
  vocab_size: 512,
};

describe('a model folder', () => {
  it('of models/recall opens with its shape, end token and greedy default', async () => {
    const folder = await openModelFolder(RECALL);
    expect(folder).toMatchObject({
      name: 'recall',
      graphPath: join(RECALL, 'onnx', 'model.onnx'),
      externalDataFiles: [],
      config: { kvHeads: 2, headDim: 64, contextTokens: 4096, vocabSize: 990 },
      eosTokenIds: [989],
      defaults: { temperature: 0, topP: null },
    });
    expect(folder.chatTemplate).toContain("message['role']");
  });

  it('opens without optional files, and derives missing fields of config.json', async () => {
    const dir = await variantOf({
      'config.json': { ...config, eos_token_id: [3, 4, 3], extra: { deep: 1 } },
      'generation_config.json': null,
      'tokenizer_config.json': null,
    });
    const folder = await openModelFolder(dir);
    expect(folder.config).toMatchObject({ kvHeads: 4, headDim: 16, modelType: 'unknown' });
    expect(folder.eosTokenIds).toEqual([3, 4]);
    expect(folder.chatTemplate).toBeNull();
    expect(folder.defaults.temperature).toBeNull();
  });

  it('takes the sampling of generation_config.json', async () => {
    const generation = { do_sample: true, temperature: 0.6, top_p: 0.95, top_k: 20 };
    const folder = await openModelFolder(await variantOf({ 'generation_config.json': generation }));
    expect(folder.defaults).toEqual({ temperature: 0.6, topP: 0.95, topK: 20, minP: null, repetitionPenalty: null });
  });

  it('opens with a top_k of -1 for all tokens, and a top_p of 0 for the most likely one', async () => {
    const generation =
      '{ "do_sample": true, "top_k": -1, "top_p": 0, "eos_token_id": -1, "time_step_limit": [0.0, Infinity] }';
    const folder = await openModelFolder(await variantOf({ 'generation_config.json': generation }));
    expect(folder.defaults.topK).toBe(0);
    expect(folder.defaults.topP).toBeCloseTo(0);
    expect(folder.defaults.topP).toBeGreaterThan(0);
    expect(folder.eosTokenIds).not.toContain(-1);
  });

  it('opens with Infinity and NaN in config.json, as Python writes them', async () => {
    const text = JSON.stringify({ ...config, eos_token_id: 3 }).replace(
      '{',
      '{"a": [-Infinity, NaN, "NaN, Infinity"], ',
    );
    const folder = await openModelFolder(await variantOf({ 'config.json': text }));
    expect(folder.config.vocabSize).toBe(512);
  });

  it('opens without an end token', async () => {
    const dir = await variantOf({
      'config.json': { ...config, eos_token_id: null },
      'generation_config.json': {},
      'tokenizer_config.json': {},
    });
    expect((await openModelFolder(dir)).eosTokenIds).toEqual([]);
  });

  it('prefers chat_template.jinja, then the template named default', async () => {
    const chat_template = [
      { name: 'tool_use', template: 'tools' },
      { name: 'default', template: 'plain' },
    ];
    const named = await variantOf({ 'tokenizer_config.json': { chat_template } });
    expect(await openModelFolder(named)).toMatchObject({ chatTemplate: 'plain', toolTemplate: 'tools' });
    await writeFile(join(named, 'chat_template.jinja'), 'of a file');
    expect(await openModelFolder(named)).toMatchObject({ chatTemplate: 'of a file', toolTemplate: null });
    await mkdir(join(named, 'additional_chat_templates'));
    await writeFile(join(named, 'additional_chat_templates', 'tool_use.jinja'), 'of another file');
    expect(await openModelFolder(named)).toMatchObject({ chatTemplate: 'of a file', toolTemplate: 'of another file' });
    const sole = await variantOf({ 'tokenizer_config.json': { chat_template: chat_template.slice(0, 1) } });
    expect(await openModelFolder(sole)).toMatchObject({ chatTemplate: 'tools', toolTemplate: 'tools' });
  });

  it('that has one type of its graph opens without a flag; a refusal names the flag and what is there', async () => {
    const dir = await variantOf({});
    await rename(join(dir, 'onnx', 'model.onnx'), join(dir, 'onnx', 'model_q4.onnx'));
    const folder = await openModelFolder(dir);
    expect(folder).toMatchObject({
      graphPath: join(dir, 'onnx', 'model_q4.onnx'),
      graphWhy: expect.stringMatching(/^auto takes q4/),
    });
    expect((await openModelFolder(dir, { dtype: 'q4' })).graphPath).toBe(folder.graphPath);
    await expect(openModelFolder(dir, { dtype: 'fp16' })).rejects.toThrow(
      /model_fp16\.onnx is missing, which --dtype fp16 names; set --dtype q4 or --model-file FILE: there are onnx\/model_q4\.onnx/,
    );
  });

  it('may have its graph at its root, under another name, or of the genai builder', async () => {
    const dir = await variantOf({ 'config.json': null });
    await rename(join(dir, 'onnx', 'model.onnx'), join(dir, 'decoder.onnx'));
    const decoder = {
      head_size: 16,
      hidden_size: 64,
      num_attention_heads: 4,
      num_hidden_layers: 2,
      num_key_value_heads: 2,
    };
    const model = { type: 'phi3', context_length: 512, vocab_size: 512, eos_token_id: 7 };
    const genai = {
      model: { ...model, decoder: { ...decoder, filename: 'decoder.onnx' } },
      search: { do_sample: true, temperature: 0.5 },
    };
    await writeFile(join(dir, 'genai_config.json'), JSON.stringify(genai));
    await rm(join(dir, 'generation_config.json'));
    const folder = await openModelFolder(dir);
    expect(folder).toMatchObject({
      graphPath: join(dir, 'decoder.onnx'),
      config: { modelType: 'phi3', headDim: 16, contextTokens: 512 },
      eosTokenIds: [7, 511],
      defaults: { temperature: 0.5 },
    });
    expect((await openModelFolder(dir, { file: 'decoder' })).graphPath).toBe(folder.graphPath);
    await expect(openModelFolder(dir, { file: 'other.onnx' })).rejects.toThrow(
      /other\.onnx is missing, which --model-file names/,
    );
    await writeFile(join(dir, 'genai_config.json'), JSON.stringify({ model: { ...model, decoder: {} } }));
    await expect(openModelFolder(dir)).rejects.toThrow(/genai_config\.json: model\.decoder\.head_size/);
  });

  it('lists the files with external weights', async () => {
    const dir = join(scratch, 'external');
    await synthesize(SYNTH_PRESETS.tiny, dir, { inlineBytes: 0 });
    const data = join(dir, 'onnx', 'model.onnx_data');
    expect((await openModelFolder(dir)).externalDataFiles).toEqual([data]);
    await rm(data);
    await expect(openModelFolder(dir)).rejects.toThrow(/model\.onnx_data is missing/);
  });

  it.each([
    ['config.json', null, /config\.json is missing/],
    ['config.json', '{', /config\.json is not a JSON object/],
    ['config.json', [], /config\.json is not a JSON object/],
    ['config.json', { ...config, vocab_size: 'many' }, /config\.json: vocab_size/],
    ['generation_config.json', { temperature: -1 }, /generation_config\.json: temperature/],
    ['tokenizer_config.json', { chat_template: 7 }, /chat_template in tokenizer_config\.json/],
    ['tokenizer.json', null, /tokenizer\.json is missing/],
    ['onnx', null, /onnx\/model\.onnx is missing/],
    ['onnx/model.onnx', 'version https://git-lfs.github.com/spec/v1', /not an ONNX model/],
  ])('is refused with the name of the file if %s is %j', async (name, value, message) => {
    const opening = openModelFolder(await variantOf({ [name]: value }));
    await expect(opening).rejects.toThrow(message);
    await expect(opening).rejects.toBeInstanceOf(Refused);
  });

  it.each(['../secret.bin', '/etc/hosts', 'a/../../secret.bin'])(
    'is refused if its external weights are in %s',
    async (file) => {
      const tensor = externalTensorMessage({ name: 'w', type: 'float32', dims: [1] }, file, 0, 4);
      const dir = await variantOf({});
      await writeFile(join(dir, 'onnx', 'model.onnx'), bytesField(MODEL.graph, bytesField(GRAPH.initializer, tensor)));
      await expect(openModelFolder(dir)).rejects.toThrow(/outside of its folder/);
    },
  );

  const PARTS = ['config.json', 'generation_config.json', 'tokenizer_config.json', 'chat_template.jinja'];
  it.each([...PARTS, 'tokenizer.json', 'onnx/model.onnx'])(
    'is refused, without a wait, if %s is a pipe, a folder, or a link to nothing or to itself',
    async (name) => {
      for (const make of [
        (path: string) => execFileSync('mkfifo', [path]),
        (path: string) => mkdir(path),
        (path: string) => symlink('nothing', path),
        (path: string) => symlink(basename(name), path),
      ]) {
        const dir = await variantOf({});
        await rm(join(dir, name), { force: true });
        await make(join(dir, name));
        const opening = openModelFolder(dir);
        await expect(opening).rejects.toThrow(basename(name));
        await expect(opening).rejects.toThrow(/is not a regular file|link/);
        await expect(opening).rejects.toBeInstanceOf(Refused);
      }
    },
  );

  it('is refused if its chat template is too large', async () => {
    const dir = await variantOf({ 'chat_template.jinja': '' });
    await truncate(join(dir, 'chat_template.jinja'), MODEL_JSON_BYTES + 1);
    await expect(openModelFolder(dir)).rejects.toThrow(/chat_template\.jinja has \d+ bytes; at most/);
  });

  it('is refused if a JSON file is too large', async () => {
    const dir = await variantOf({});
    await truncate(join(dir, 'config.json'), MODEL_JSON_BYTES + 1);
    await expect(openModelFolder(dir)).rejects.toThrow(/config\.json has \d+ bytes; at most/);
    const other = await variantOf({});
    await truncate(join(other, 'tokenizer.json'), MODEL_JSON_BYTES + 1);
    await expect(openModelFolder(other)).rejects.toThrow(/tokenizer\.json has \d+ bytes; at most/);
  });

  it('that does not exist is refused with its path', async () => {
    await expect(openModelFolder(join(scratch, 'none'))).rejects.toThrow(/none: it does not exist/);
    await mkdir(join(scratch, 'empty'));
    await expect(openModelFolder(join(scratch, 'empty'))).rejects.toThrow(/config\.json is missing/);
  });
});
