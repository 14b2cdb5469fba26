import { ATTRIBUTE, GRAPH, NODE, nodeMessage, tensorMessage, valueMessage } from '../../src/model/onnx/messages.js';
import { bytesField, intField, join } from '../../src/model/onnx/wire.js';
import { onnxNumber } from '../../src/ort/element-type.js';
import { rotary } from '../synth/weights.js';
import type { TwinNetwork } from './twin-network.js';

/** Rotary tables as onnxruntime-genai's builder writes them for LongRoPE: constants in the branches of an If over the length. */

const THETA = 10_000;
/** The base of the table for long sequences. */
const LONG_THETA = 80_000;
const ATTRIBUTE_TYPE = { tensor: 4, graph: 5 } as const;
const PARTS = ['cos', 'sin'] as const;

/** Adds `rotary.cos` and `rotary.sin`. The tables of short sequences end at the border. */
export function chosenTables(net: TwinNetwork, borderTokens: number): void {
  const { contextTokens } = net.spec;
  const long = net.node('Greater', ['total64', net.integers('border', BigInt(borderTokens))], 'is_long');
  const outputs = PARTS.map((part) => `rotary.${part}`);
  const choice = nodeMessage({ op: 'If', inputs: [long], outputs });
  const branches = [
    branch(net, 'then_branch', 'long', { theta: LONG_THETA, rows: contextTokens }),
    branch(net, 'else_branch', 'short', { theta: THETA, rows: borderTokens }),
  ];
  net.messages.push(bytesField(GRAPH.node, join([choice, ...branches])));
}

interface Table {
  readonly theta: number;
  readonly rows: number;
}

function branch(net: TwinNetwork, attribute: string, name: string, table: Table): Uint8Array {
  const { headDim, dtype } = net.spec;
  const dims = [table.rows, headDim / 2];
  const body = PARTS.flatMap((part) => [
    bytesField(GRAPH.node, constantTable(net, `${name}.${part}`, part, table)),
    bytesField(GRAPH.output, valueMessage(`${name}.${part}`, onnxNumber(dtype), dims)),
  ]);
  return bytesField(NODE.attribute, [
    bytesField(ATTRIBUTE.name, attribute),
    bytesField(ATTRIBUTE.graph, [...body, bytesField(GRAPH.name, `${name}_tables`)]),
    intField(ATTRIBUTE.type, ATTRIBUTE_TYPE.graph),
  ]);
}

function constantTable(net: TwinNetwork, output: string, part: 'cos' | 'sin', { theta, rows }: Table): Uint8Array {
  const { headDim, dtype } = net.spec;
  const dims = [rows, headDim / 2];
  const elements = dtype === 'float32' ? new Float32Array(rows * dims[1]!) : new Uint16Array(rows * dims[1]!);
  rotary(Math[part], headDim, theta, dtype)(elements, 0);
  const value = bytesField(NODE.attribute, [
    bytesField(ATTRIBUTE.name, 'value'),
    bytesField(ATTRIBUTE.tensor, tensorMessage({ name: output, type: dtype, dims }, elements)),
    intField(ATTRIBUTE.type, ATTRIBUTE_TYPE.tensor),
  ]);
  return join([nodeMessage({ op: 'Constant', inputs: [], outputs: [output] }), value]);
}
