import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { synthesize } from '../../../bench/synth/model-folder.js';
import { SYNTH_PRESETS } from '../../../bench/synth/spec.js';
import { Refused } from '../../../src/errors.js';
import { type ModelFolder, openModelFolder } from '../../../src/model/folder.js';
import { graphSignature } from '../../../src/model/graph-signature.js';
import type { Graph, GraphValue } from '../../../src/model/onnx/graph.js';
import { onnxNumber } from '../../../src/ort/element-type.js';
import { RECALL, scratchFolder } from './folders.js';

let recall: ModelFolder;
let concat: ModelFolder;

beforeAll(async () => {
  const scratch = await scratchFolder();
  const spec = { ...SYNTH_PRESETS.tiny, attention: 'concat', dtype: 'float16' } as const;
  await synthesize(spec, join(scratch, 'concat'));
  concat = await openModelFolder(join(scratch, 'concat'));
  recall = await openModelFolder(RECALL);
});

/** Recall's graph with each input replaced by the result of `change`, or removed if that is null. */
function withInputs(change: (input: GraphValue) => GraphValue | null): Graph {
  return { ...recall.graph, inputs: recall.graph.inputs.map(change).filter((input) => input !== null) };
}
const without = (name: string) => withInputs((input) => (input.name === name ? null : input));
const renamed = (from: string, to: string) =>
  withInputs((input) => (input.name === from ? { ...input, name: to } : input));
const signatureOf = (graph: Graph) => graphSignature(graph, recall.config, 64);

describe('the signature of a graph', () => {
  it('is in-place for GroupQueryAttention', () => {
    const signature = graphSignature(recall.graph, recall.config, 64);
    expect(signature).toMatchObject({
      layout: { layers: 4, kvHeads: 2, headDim: 64, blockTokens: 64, elementType: 'float32' },
      kind: 'in-place',
      hasAttentionMask: true,
      hasPositionIds: false,
      hasLogitsToKeep: false,
      logitsElementType: 'float32',
    });
    expect(signature.pastNames.slice(0, 3)).toEqual([
      'past_key_values.0.key',
      'past_key_values.0.value',
      'past_key_values.1.key',
    ]);
    expect(signature.presentNames.at(-1)).toBe('present.3.value');
  });

  it('is hand-on if the graph concatenates K/V', () => {
    expect(graphSignature(concat.graph, concat.config, 32)).toMatchObject({
      layout: { layers: 2, kvHeads: 2, headDim: 16, blockTokens: 32, elementType: 'float16' },
      kind: 'hand-on',
      hasPositionIds: true,
      hasLogitsToKeep: true,
    });
  });

  it('is hand-on if a single layer does not use GroupQueryAttention', () => {
    let left = 1;
    const nodes = recall.graph.nodes.filter((node) => node.opType !== 'GroupQueryAttention' || left-- <= 0);
    expect(signatureOf({ ...recall.graph, nodes }).kind).toBe('hand-on');
  });

  it.each([
    ['an unknown input', () => renamed('attention_mask', 'use_cache_branch'), /"use_cache_branch"/],
    ['no token ids', () => without('input_ids'), /"input_ids"/],
    [
      'a layer too few',
      () => without('past_key_values.3.value'),
      /4 layers, but the graph has no input "past_key_values.3.value"/,
    ],
    [
      'a layer too many',
      () => renamed('attention_mask', 'past_key_values.4.key'),
      /has an input "past_key_values.4.key"/,
    ],
    ['no past', () => withInputs((input) => (input.name.startsWith('past') ? null : input)), /"with past"/],
    [
      'no present',
      () => ({ ...recall.graph, outputs: recall.graph.outputs.filter(({ name }) => name !== 'present.2.key') }),
      /no output "present.2.key"/,
    ],
    [
      'K/V of another shape than config.json has',
      () => withInputs((input) => ({ ...input, dims: input.dims.length === 4 ? ['b', 8, 'p', 64] : input.dims })),
      /shape \[b, 8, p, 64\], but config.json requires \[batch, 2, tokens, 64\]/,
    ],
    [
      'quantised K/V',
      () =>
        withInputs((input) => ({
          ...input,
          elementCode: input.dims.length === 4 ? onnxNumber('int8') : input.elementCode,
        })),
      /ONNX element type 3/,
    ],
    [
      'K and V of different types',
      () => withInputs((input) => ({ ...input, elementCode: input.name.endsWith('2.value') ? 10 : input.elementCode })),
      /"past_key_values.2.value" is not float32/,
    ],
    [
      'token ids of 32 bits',
      () => withInputs((input) => ({ ...input, elementCode: 6 })),
      /"input_ids" has ONNX element type 6/,
    ],
  ])('is refused with the name of the input or output for %s', (_, graph, message) => {
    expect(() => signatureOf(graph())).toThrow(message);
    expect(() => signatureOf(graph())).toThrow(Refused);
  });
});
