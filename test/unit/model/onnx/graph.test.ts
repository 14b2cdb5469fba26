import { writeFile } from 'node:fs/promises';
import { join as joinPath } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Corrupt } from '../../../../src/errors.js';
import { FileSource, memorySource } from '../../../../src/model/onnx/byte-source.js';
import { readGraph } from '../../../../src/model/onnx/graph.js';
import {
  ATTRIBUTE,
  externalTensorMessage,
  GRAPH,
  MODEL,
  NODE,
  nodeMessage,
  opsetMessage,
  TENSOR,
  tensorMessage,
  valueMessage,
} from '../../../../src/model/onnx/messages.js';
import { bytesField, intField, join, varint } from '../../../../src/model/onnx/wire.js';
import { scratchFolder } from '../folders.js';

const modelOf = (...graph: Uint8Array[]) => bytesField(MODEL.graph, graph);
const external = (file: string) => externalTensorMessage({ name: file, type: 'float32', dims: [1] }, file, 0, 4);

/** A node of this operator with one more attribute. */
const nodeWith = (opType: string, attribute: Uint8Array) =>
  bytesField(
    GRAPH.node,
    join([nodeMessage({ op: opType, inputs: [], outputs: ['y'] }), bytesField(NODE.attribute, attribute)]),
  );

describe('reading a graph', () => {
  it('reads constants of one number, in weights and nodes, whichever field holds them', () => {
    const scalar = (name: string, type: number, ...value: Uint8Array[]) =>
      join([intField(TENSOR.type, type), bytesField(TENSOR.name, name), ...value]);
    const model = modelOf(
      bytesField(GRAPH.initializer, tensorMessage({ name: 'raw', type: 'int64', dims: [1] }, BigInt64Array.of(-4096n))),
      bytesField(GRAPH.initializer, tensorMessage({ name: 'float', type: 'float32', dims: [] }, Float32Array.of(0.5))),
      bytesField(GRAPH.initializer, scalar('ints', 6, bytesField(TENSOR.int32s, varint(7)))),
      bytesField(GRAPH.initializer, tensorMessage({ name: 'many', type: 'int64', dims: [2] }, new BigInt64Array(2))),
      nodeWith('Constant', bytesField(ATTRIBUTE.tensor, scalar('', 7, intField(TENSOR.int64s, 131_072)))),
    );
    const graph = readGraph(memorySource(model));
    expect(graph.initializers.map(({ scalar: value }) => value)).toEqual([-4096, 0.5, 7, null]);
    expect(graph.nodes[0]!.constant).toMatchObject({ elementCode: 7, scalar: 131_072 });
  });

  it('names the operators within the branches of a node', () => {
    const branch = bytesField(GRAPH.node, nodeMessage({ op: 'DynamicQuantizeLinear', inputs: [], outputs: [] }));
    const graph = readGraph(memorySource(modelOf(nodeWith('If', bytesField(ATTRIBUTE.graph, branch)))));
    expect(graph.nodes[0]!.bodies[0]!.nodes.map(({ opType }) => opType)).toEqual(['DynamicQuantizeLinear']);
  });

  it('returns nodes, values and their shapes', () => {
    const graph = readGraph(
      memorySource(
        join([
          bytesField(MODEL.opset, opsetMessage('com.microsoft', 1)),
          bytesField(MODEL.opset, opsetMessage('', 17)),
          modelOf(
            bytesField(GRAPH.input, valueMessage('x', 1, ['batch', 4, null])),
            bytesField(
              GRAPH.node,
              nodeMessage({ op: 'Skip', inputs: ['x', ''], outputs: ['y'], domain: 'com.microsoft' }),
            ),
            bytesField(GRAPH.output, valueMessage('y', 10, [])),
          ),
        ]),
      ),
    );
    expect(graph.opset).toBe(17);
    expect(graph.inputs).toMatchObject([{ name: 'x', elementCode: 1, dims: ['batch', 4, null] }]);
    expect(graph.nodes).toMatchObject([{ opType: 'Skip', domain: 'com.microsoft', inputs: ['x', ''], outputs: ['y'] }]);
    expect(graph.outputs).toMatchObject([{ name: 'y', elementCode: 10, dims: [] }]);
  });

  it('does not count weights among the inputs, as older files do', () => {
    const weight = tensorMessage({ name: 'w', type: 'float32', dims: [2] }, new Float32Array(2));
    const model = modelOf(
      bytesField(GRAPH.input, valueMessage('x', 1, [2])),
      bytesField(GRAPH.input, valueMessage('w', 1, [2])),
      bytesField(GRAPH.initializer, weight),
    );
    const graph = readGraph(memorySource(model));
    expect(graph.inputs.map((input) => input.name)).toEqual(['x']);
    expect(graph.initializers).toEqual([{ name: 'w', elementCode: 1, dims: [2], scalar: null, integers: null }]);
  });

  it('finds external data anywhere in a graph, each file once', () => {
    const attribute = (field: number, content: Uint8Array) =>
      bytesField(GRAPH.node, bytesField(NODE.attribute, bytesField(field, content)));
    const model = modelOf(
      bytesField(GRAPH.initializer, external('b.bin')),
      bytesField(GRAPH.initializer, external('b.bin')),
      attribute(ATTRIBUTE.tensor, external('e.bin')),
      attribute(ATTRIBUTE.tensors, external('d.bin')),
      attribute(ATTRIBUTE.graph, bytesField(GRAPH.initializer, external('c.bin'))),
      attribute(ATTRIBUTE.graphs, attribute(ATTRIBUTE.tensor, external('a.bin'))),
    );
    expect(readGraph(memorySource(model)).externalFiles).toEqual(['a.bin', 'b.bin', 'c.bin', 'd.bin', 'e.bin']);
  });

  it('refuses bytes that are not a model, and a model with two graphs', () => {
    expect(() => readGraph(memorySource(new Uint8Array(0)))).toThrow(/no graph/);
    expect(() => readGraph(memorySource(join([modelOf(), modelOf()])))).toThrow(/two graphs/);
    expect(() => readGraph(memorySource(Uint8Array.of(0, 1)))).toThrow(Corrupt);
  });
});

describe('a file source', () => {
  it('reads any range, even larger than its window', async () => {
    const bytes = Uint8Array.from({ length: 1_000_000 }, (_, i) => i * 31 + (i >> 8));
    const path = joinPath(await scratchFolder(), 'bytes');
    await writeFile(path, bytes);
    const source = new FileSource(path);
    expect(source.length).toBe(bytes.length);
    for (const [start, end] of [
      [0, 10],
      [5, 700_000],
      [999_990, 1_000_000],
      [20, 30],
      [262_140, 262_150],
      [7, 7],
    ] as const) {
      expect(Buffer.compare(source.read(start, end), bytes.subarray(start, end))).toBe(0);
    }
    source.close();
  });
});
