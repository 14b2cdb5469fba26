import { join } from 'node:path';
import { expect, it } from 'vitest';
import { writeTwin } from '../../../bench/twins/twin-folder.js';
import { TWINS } from '../../../bench/twins/twins.js';
import { openModelFolder } from '../../../src/model/folder.js';
import { kvDependence } from '../../../src/model/kv-dependence.js';
import { dynamicallyQuantizedModel, longRopeModel } from '../../support/dependent-models.js';
import { RECALL, scratchFolder } from './folders.js';

const LONG_ROPE = { rope_scaling: { type: 'longrope', short_factor: [1, 1], long_factor: [1, 2.5] } };

it.each([
  ['longrope', LONG_ROPE],
  ['longrope', { rope_scaling: { type: 'longrope' } }],
  ['su', { rope_scaling: { type: 'su', short_factor: [1, 1], long_factor: [1, 2.5] } }],
  ['yarn', { rope_scaling: { type: 'yarn', short_factor: [1, 1], long_factor: [1, 2.5] } }],
  ['dynamic', { rope_scaling: { rope_type: 'dynamic', factor: 2 } }],
  ['dynamic', { rope_scaling: null, rope_parameters: { rope_type: 'dynamic', rope_theta: 1e4 } }],
  ['dynamic', { use_dynamic_ntk: true }],
  ['longrope', { rope_parameters: { sliding: { rope_type: 'default' }, full: { rope_type: 'longrope' } } }],
  ['longrope', { text_config: LONG_ROPE }],
])(
  'shares nothing if config.json names rotary embeddings of type %s, and the graph shows no border: %j',
  async (type, fields) => {
    const folder = await openModelFolder(RECALL);
    const found = kvDependence({ ...folder, configJson: { ...folder.configJson, ...fields } });
    expect(found).toMatchObject({
      kind: 'length',
      reason: expect.stringContaining(`config.json names rotary embeddings of type ${type}`),
    });
  },
);

it('bounds sequences by the length up to which one table is right, where the graph shows no other', async () => {
  const folder = await openModelFolder(RECALL);
  const limit = (fields: object) => kvDependence({ ...folder, configJson: { ...folder.configJson, ...fields } });
  const scaling = LONG_ROPE.rope_scaling;
  expect(limit({ ...LONG_ROPE, original_max_position_embeddings: 128 })).toMatchObject({ limitTokens: 128 });
  expect(limit({ rope_parameters: { ...scaling, original_max_position_embeddings: 256 } })).toMatchObject({
    limitTokens: 256,
  });
  expect(limit({ rope_scaling: { type: 'dynamic' }, max_position_embeddings: 512 })).toMatchObject({
    limitTokens: 512,
  });
  expect(limit({ use_dynamic_ntk: true, seq_length: 64 })).toMatchObject({ limitTokens: 64 });
  expect(limit(LONG_ROPE)).not.toHaveProperty('limitTokens');
});

it.each([
  {},
  { rope_scaling: null },
  { rope_scaling: 'odd', rope_parameters: [7, null] },
  { rope_scaling: { rope_type: 'llama3', factor: 8 } },
  { rope_scaling: { type: 'yarn', factor: 4, original_max_position_embeddings: 512 } },
  { rope_scaling: { type: 'linear', factor: 4 }, use_dynamic_ntk: false },
  { rope_scaling: { rope_type: 'longrope', short_factor: [1, 2], long_factor: [1, 2] } },
])('takes the word of the graph if config.json names none that change with the length: %j', async (fields) => {
  const folder = await openModelFolder(RECALL);
  expect(kvDependence({ ...folder, configJson: { ...folder.configJson, ...fields } })).toEqual({ kind: 'prefix' });
});

it('takes the word of a graph that shows its border, and shares nothing of one that quantizes too', async () => {
  const dir = await scratchFolder();
  await longRopeModel(RECALL, join(dir, 'long'), 300);
  await dynamicallyQuantizedModel(RECALL, join(dir, 'quantized'));
  const [long, quantized] = [await openModelFolder(join(dir, 'long')), await openModelFolder(join(dir, 'quantized'))];
  expect(kvDependence({ ...long, configJson: LONG_ROPE })).toEqual({ kind: 'border', borderTokens: 300 });
  expect(kvDependence(quantized).kind).toBe('run');
  expect(kvDependence({ ...quantized, configJson: LONG_ROPE }).kind).toBe('length');
});

it('finds the border of a graph whose tables are constants in the branches of an If', async () => {
  const dir = await scratchFolder();
  const twin = TWINS.find(({ positions }) => positions.kind === 'longrope')!;
  await writeTwin(twin, join(dir, 'twin'));
  const folder = await openModelFolder(join(dir, 'twin'));
  expect(folder.graph.nodes.some(({ opType }) => opType === 'If')).toBe(true);
  expect(kvDependence({ ...folder, configJson: LONG_ROPE })).toEqual({ kind: 'border', borderTokens: 96 });
});
