import { type ElementType, onnxNumber } from '../../ort/element-type.js';
import { GRAPH, MODEL, type Node, nodeMessage, opsetMessage, tensorMessage, valueMessage } from './messages.js';
import { bytesField, intField, join } from './wire.js';

/** Builds ONNX models of small graphs without weights. */

const IR_VERSION = 8;
const OPSET = 17;

interface SmallValue {
  readonly name: string;
  readonly type: ElementType;
  /** A string is a symbolic dimension. */
  readonly dims: readonly (number | string)[];
}

/** A graph without weights, of ONNX's own operators. */
export interface SmallGraph {
  readonly inputs: readonly SmallValue[];
  readonly outputs: readonly SmallValue[];
  readonly nodes: readonly Node[];
  /** Int64 vectors that nodes read as inputs. */
  readonly constants: Readonly<Record<string, readonly number[]>>;
}

/** Encodes the graph as an ONNX model. */
export function smallModel({ inputs, outputs, nodes, constants }: SmallGraph): Uint8Array {
  const value = ({ name, type, dims }: SmallValue) => valueMessage(name, onnxNumber(type), dims);
  const graph = [
    bytesField(GRAPH.name, 'shoal'),
    ...nodes.map((node) => bytesField(GRAPH.node, nodeMessage(node))),
    ...inputs.map((input) => bytesField(GRAPH.input, value(input))),
    ...outputs.map((output) => bytesField(GRAPH.output, value(output))),
    ...Object.entries(constants).map(([name, numbers]) =>
      bytesField(
        GRAPH.initializer,
        tensorMessage({ name, type: 'int64', dims: [numbers.length] }, BigInt64Array.from(numbers, BigInt)),
      ),
    ),
  ];
  return join([
    intField(MODEL.irVersion, IR_VERSION),
    bytesField(MODEL.producer, 'shoal'),
    bytesField(MODEL.opset, opsetMessage('', OPSET)),
    bytesField(MODEL.graph, graph),
  ]);
}
