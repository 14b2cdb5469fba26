import { readFile, writeFile } from 'node:fs/promises';
import { join as joinPath } from 'node:path';
import ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { nearTie } from '../../../../bench/twins/near-tie.js';
import { writeTwin } from '../../../../bench/twins/twin-folder.js';
import { TWINS } from '../../../../bench/twins/twins.js';
import { widenFloat16 } from '../../../../src/core/sampling/half.js';
import { Corrupt } from '../../../../src/errors.js';
import { openModelFolder } from '../../../../src/model/folder.js';
import { graphSignature } from '../../../../src/model/graph-signature.js';
import { memorySource } from '../../../../src/model/onnx/byte-source.js';
import { readGraph } from '../../../../src/model/onnx/graph.js';
import { withLogitsToKeep } from '../../../../src/model/onnx/logits-to-keep.js';
import {
  externalTensorMessage,
  GRAPH,
  MODEL,
  type Node,
  nodeMessage,
  opsetMessage,
  tensorMessage,
  valueMessage,
} from '../../../../src/model/onnx/messages.js';
import { bytesField, intField, join } from '../../../../src/model/onnx/wire.js';
import { type ElementType, onnxNumber } from '../../../../src/ort/element-type.js';
import { DecoderRun } from '../decoder-run.js';
import { RECALL, scratchFolder } from '../folders.js';

const HIDDEN = 8;
const VOCAB = 16;
const float = onnxNumber('float32');

interface SmallGraph {
  readonly nodes: readonly Node[];
  readonly initializers?: readonly Uint8Array[];
  readonly outputs?: readonly Uint8Array[];
  readonly values?: readonly Uint8Array[];
  readonly opset?: number;
}

/** A graph from `hidden` `[batch, sequence, 8]` to `logits`. */
function smallModel({ nodes, initializers = [], outputs = [], values = [], opset = 17 }: SmallGraph): Uint8Array {
  const graph = [
    ...nodes.map((node) => bytesField(GRAPH.node, nodeMessage(node))),
    bytesField(GRAPH.name, 'small'),
    bytesField(GRAPH.input, valueMessage('hidden', float, ['batch', 'sequence', HIDDEN])),
    bytesField(GRAPH.output, valueMessage('logits', float, ['batch', 'sequence', VOCAB])),
    ...outputs.map((output) => bytesField(GRAPH.output, output)),
    ...values.map((value) => bytesField(GRAPH.valueInfo, value)),
    ...initializers.map((tensor) => bytesField(GRAPH.initializer, tensor)),
  ];
  return join([
    intField(MODEL.irVersion, 8),
    bytesField(MODEL.graph, graph),
    bytesField(MODEL.opset, opsetMessage('', opset)),
    bytesField(MODEL.opset, opsetMessage('com.microsoft', 1)),
  ]);
}

function floats(name: string, dims: readonly number[]): Uint8Array {
  const count = dims.reduce((product, dim) => product * dim, 1);
  return tensorMessage(
    { name, type: 'float32', dims },
    Float32Array.from({ length: count }, (_, i) => Math.sin(i * 7.1) + 1.5),
  );
}

function bytes(name: string, type: ElementType, dims: readonly number[]): Uint8Array {
  const count = dims.reduce((product, dim) => product * dim, 1);
  return tensorMessage(
    { name, type, dims },
    Uint8Array.from({ length: count }, (_, i) => (i * 37) % 128),
  );
}

const HIDDEN_STATES = Float32Array.from({ length: 2 * 5 * HIDDEN }, (_, i) => Math.cos(i * 3.3));

async function logitsOf(model: Uint8Array, keep?: bigint): Promise<{ dims: readonly number[]; data: Float32Array }> {
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3 });
  const feeds = { hidden: new ort.Tensor('float32', HIDDEN_STATES, [2, 5, HIDDEN]) };
  const kept = keep === undefined ? {} : { num_logits_to_keep: new ort.Tensor('int64', BigInt64Array.of(keep), []) };
  const { logits } = await session.run({ ...feeds, ...kept });
  await session.release();
  return { dims: logits!.dims, data: logits!.data as Float32Array };
}

/** The logits of the last `keep` positions of each row. */
function lastOf(all: { dims: readonly number[]; data: Float32Array }, keep: number): Float32Array {
  const [rows, tokens, vocab] = all.dims as [number, number, number];
  const kept = Array.from({ length: rows }, (_, row) => {
    const end = (row + 1) * tokens * vocab;
    return [...all.data.subarray(end - keep * vocab, end)];
  });
  return Float32Array.from(kept.flat());
}

function edited(model: Uint8Array): Uint8Array {
  const edit = withLogitsToKeep(model);
  if (edit.kind !== 'edited') throw new Error(edit.kind === 'unrecognised' ? edit.reason : edit.kind);
  return edit.model;
}

function reasonAgainst(graph: SmallGraph): string {
  const edit = withLogitsToKeep(smallModel(graph));
  return edit.kind === 'unrecognised' ? edit.reason : edit.kind;
}

const weights = floats('weights', [HIDDEN, VOCAB]);

describe('an edited recall graph', () => {
  it('computes bit-identical last logits', async () => {
    const folder = await openModelFolder(RECALL);
    const model = await readFile(folder.graphPath);
    const before = graphSignature(folder.graph, folder.config, 64);
    const graph = readGraph(memorySource(edited(model)));
    const after = graphSignature(graph, folder.config, 64);
    expect(before.logitsToKeep).toBeNull();
    expect(after).toEqual({ ...before, logitsToKeep: 'num_logits_to_keep' });

    const prompt = Array.from({ length: 40 }, (_, i) => (i * 29) % 900);
    const plain = await DecoderRun.open(folder.graphPath, before);
    const all = await plain.step(prompt);
    for (const [keep, made] of [
      [1, 1],
      [3, 3],
      [0, 40],
      [40, 40],
      [99, 40],
    ] as const) {
      const run = await DecoderRun.open(edited(model), after);
      const kept = await run.step(prompt, keep);
      expect(kept.dims).toEqual([1, made, folder.config.vocabSize]);
      expect(kept.data).toEqual(lastOf(all, made));
      await run.close();
    }
    await plain.close();
  });

  it('of float16 computes last logits that differ by rounding at most', async () => {
    const twin = TWINS.find(({ dtype, attention }) => dtype === 'float16' && attention === 'gqa')!;
    const dir = joinPath(await scratchFolder(), 'float16');
    await writeTwin(twin, dir);
    const { graphPath, graph, config } = await openModelFolder(dir);
    const signature = graphSignature(graph, config, 64);
    const plain = await DecoderRun.open(graphPath, signature);
    const shortened = await DecoderRun.open(edited(await readFile(graphPath)), {
      ...signature,
      logitsToKeep: 'num_logits_to_keep',
    });
    for (const ids of [[7, 300, 12, 44, 9], [8], [9]]) {
      const [all, last] = [await plain.step(ids), await shortened.step(ids)].map(({ data }) => {
        const wide = new Float32Array(data.length);
        widenFloat16(data as unknown as Uint16Array, wide);
        return wide.subarray(-twin.vocab);
      }) as [Float32Array, Float32Array];
      const most = Math.max(...all.map(Math.abs));
      for (const [id, logit] of all.entries())
        expect(Math.abs(last[id]! - logit)).toBeLessThanOrEqual(nearTie('float16', most) / 2);
    }
    await plain.close();
    await shortened.close();
  });

  it('keeps all weights', async () => {
    const model = await readFile(joinPath(RECALL, 'onnx', 'model.onnx'));
    const graph = readGraph(memorySource(model));
    const after = edited(model);
    const added = readGraph(memorySource(after)).initializers.slice(graph.initializers.length);
    expect(added.map((tensor) => tensor.dims)).toEqual([[1], [1]]);
    expect(after.length - model.length).toBeLessThan(1000);
    expect(withLogitsToKeep(after)).toEqual({ kind: 'present' });
  });
});

describe('num_logits_to_keep', () => {
  const soft: SmallGraph = {
    nodes: [
      { op: 'Transpose', inputs: ['embedding'], outputs: ['tied'] },
      { op: 'MatMul', inputs: ['hidden', 'tied'], outputs: ['raw'] },
      { op: 'Add', inputs: ['bias', 'raw'], outputs: ['biased'] },
      { op: 'Div', inputs: ['biased', 'cap'], outputs: ['small'] },
      { op: 'Tanh', inputs: ['small'], outputs: ['soft'] },
      { op: 'Mul', inputs: ['soft', 'cap'], outputs: ['logits'] },
    ],
    initializers: [floats('embedding', [VOCAB, HIDDEN]), floats('bias', [VOCAB]), floats('cap', [])],
    values: ['raw', 'biased', 'small', 'soft'].map((name) => valueMessage(name, float, ['batch', 'sequence', VOCAB])),
  };
  const quantised: SmallGraph = {
    nodes: [
      { op: 'DynamicQuantizeLinear', inputs: ['hidden'], outputs: ['q', 'scale', 'zero'] },
      { op: 'MatMulInteger', inputs: ['q', 'weights8', 'zero', 'weights_zero'], outputs: ['sums'] },
      { op: 'Cast', inputs: ['sums'], outputs: ['sums_float'], attributes: { to: 1n } },
      { op: 'Mul', inputs: ['scale', 'weights_scale'], outputs: ['scales'] },
      { op: 'Mul', inputs: ['sums_float', 'scales'], outputs: ['logits'] },
    ],
    initializers: [
      bytes('weights8', 'int8', [HIDDEN, VOCAB]),
      bytes('weights_zero', 'int8', []),
      floats('weights_scale', []),
    ],
  };
  const blocks: SmallGraph = {
    nodes: [
      {
        op: 'MatMulNBits',
        domain: 'com.microsoft',
        inputs: ['hidden', 'packed', 'scales'],
        outputs: ['logits'],
        attributes: { K: BigInt(HIDDEN), N: BigInt(VOCAB), bits: 4n, block_size: 16n },
      },
    ],
    initializers: [bytes('packed', 'uint8', [VOCAB, 1, 8]), floats('scales', [VOCAB])],
  };
  const dequantised: SmallGraph = {
    nodes: [
      { op: 'DequantizeLinear', inputs: ['weights8', 'weights_scale'], outputs: ['weights'] },
      { op: 'MatMul', inputs: ['hidden', 'weights'], outputs: ['logits'] },
    ],
    initializers: [bytes('weights8', 'int8', [HIDDEN, VOCAB]), floats('weights_scale', [])],
  };

  it.each([
    ['a tied embedding with bias and soft cap', soft],
    ['dynamically quantised weights', quantised],
    ['weights of 4 bits in blocks', blocks],
    ['weights that are dequantised in the graph', dequantised],
  ])('keeps the last positions of each row with %s', async (_, graph) => {
    const all = await logitsOf(smallModel(graph));
    const model = edited(smallModel(graph));
    for (const keep of [1, 2, 0]) {
      const kept = await logitsOf(model, BigInt(keep));
      expect(kept.dims).toEqual([2, keep || 5, VOCAB]);
      expect(kept.data).toEqual(lastOf(all, keep || 5));
    }
  });

  it('removes stale shapes between head and logits', () => {
    const graph = readGraph(memorySource(edited(smallModel(soft))));
    expect(graph.values).toEqual([]);
    expect(graph.outputs.map((output) => output.dims)).toEqual([['batch', 'logits_to_keep', VOCAB]]);
    expect(graph.inputs.map((input) => [input.name, input.dims])).toContainEqual(['num_logits_to_keep', []]);
  });

  it('is added to graphs with external weights', async () => {
    const folder = await scratchFolder();
    const values = Float32Array.from({ length: HIDDEN * VOCAB }, (_, i) => i / 100);
    await writeFile(joinPath(folder, 'weights.bin'), values);
    const tensor = { name: 'weights', type: 'float32', dims: [HIDDEN, VOCAB] } as const;
    const model = smallModel({
      nodes: [{ op: 'MatMul', inputs: ['hidden', 'weights'], outputs: ['logits'] }],
      initializers: [externalTensorMessage(tensor, 'weights.bin', 0, values.byteLength)],
    });
    expect(readGraph(memorySource(edited(model))).externalFiles).toEqual(['weights.bin']);
    const options = { extra: { session: { model_external_initializers_file_folder_path: folder } } };
    const session = await ort.InferenceSession.create(edited(model), options);
    const { logits } = await session.run({
      hidden: new ort.Tensor('float32', HIDDEN_STATES, [2, 5, HIDDEN]),
      num_logits_to_keep: new ort.Tensor('int64', BigInt64Array.of(1n), []),
    });
    expect(logits!.dims).toEqual([2, 1, VOCAB]);
    await session.release();
  });

  it('is not added to a graph with an unknown head, and the result has the reason', () => {
    const matmul: Node = { op: 'MatMul', inputs: ['hidden', 'weights'], outputs: ['logits'] };
    const initializers = [weights];
    expect(reasonAgainst({ nodes: [matmul], initializers, opset: 9 })).toMatch(/operator set 9/);
    expect(reasonAgainst({ nodes: [{ ...matmul, op: 'Gemm' }], initializers })).toMatch(/Gemm/);
    expect(reasonAgainst({ nodes: [{ ...matmul, op: 'Softmax', inputs: ['hidden'] }] })).toMatch(/Softmax/);
    expect(reasonAgainst({ nodes: [{ ...matmul, inputs: ['hidden', 'hidden'] }] })).toMatch(/weights of MatMul|MatMul/);
    expect(reasonAgainst({ nodes: [matmul] })).toMatch(/2 computed tensors/);
    expect(reasonAgainst({ nodes: [{ ...matmul, inputs: ['weights', 'hidden'] }], initializers })).toMatch(
      /come first/,
    );
    expect(reasonAgainst({ nodes: [] })).toMatch(/no node computes "logits"/);
  });

  it('is not added to a graph that uses the logits of all positions elsewhere', () => {
    const nodes: Node[] = [
      { op: 'MatMul', inputs: ['hidden', 'weights'], outputs: ['raw'] },
      { op: 'Tanh', inputs: ['raw'], outputs: ['logits'] },
      { op: 'Softmax', inputs: ['raw'], outputs: ['shares'] },
    ];
    expect(reasonAgainst({ nodes, initializers: [weights] })).toBe('Softmax reads "raw" too');
    const outputs = [valueMessage('raw', float, [])];
    expect(reasonAgainst({ nodes: nodes.slice(0, 2), initializers: [weights], outputs })).toBe(
      '"raw" is an output too',
    );
  });

  it('is refused for bytes that are not an ONNX model', () => {
    const model = smallModel(soft);
    for (let end = 0; end < model.length; end += 13) {
      const cut = model.subarray(0, end);
      expect(() => withLogitsToKeep(cut)).toThrow(Corrupt);
    }
  });
});
