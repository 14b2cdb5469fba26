import { type ElementType, onnxNumber } from '../../ort/element-type.js';
import { bytesField, bytesHeader, floatField, intField, join } from './wire.js';

/** Encodes ONNX messages, with the field numbers of onnx.proto3 (https://github.com/onnx/onnx). */

/** Field numbers of `ModelProto`, `FunctionProto`, `GraphProto`, `NodeProto`, `TensorProto` and `AttributeProto`. */
export const MODEL = { irVersion: 1, producer: 2, graph: 7, opset: 8, function: 25 } as const;
export const FUNCTION = { name: 1, input: 4, output: 5, node: 7, opset: 9, domain: 10 } as const;
export const GRAPH = { node: 1, name: 2, initializer: 5, input: 11, output: 12, valueInfo: 13 } as const;
export const NODE = { input: 1, output: 2, name: 3, opType: 4, attribute: 5, domain: 7 } as const;
export const TENSOR = {
  ...{ dims: 1, type: 2, floats: 4, int32s: 5, int64s: 7, name: 8, raw: 9, external: 13, location: 14 },
} as const;
export const ATTRIBUTE = {
  ...{ name: 1, float: 2, int: 3, tensor: 5, graph: 6, ints: 8, tensors: 10, graphs: 11, type: 20 },
} as const;
const ATTRIBUTE_TYPE = { float: 1, int: 2, ints: 7 } as const;

/** A bigint is an integer attribute, a number a float. */
type Attribute = bigint | number | readonly bigint[];

export interface Node {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

/** A `NodeProto`, named like its first output. */
export function nodeMessage(node: Node): Uint8Array {
  return join([
    ...node.inputs.map((name) => bytesField(NODE.input, name)),
    ...node.outputs.map((name) => bytesField(NODE.output, name)),
    bytesField(NODE.name, node.outputs[0] ?? ''),
    bytesField(NODE.opType, node.op),
    ...Object.entries(node.attributes ?? {}).map(([name, value]) => bytesField(NODE.attribute, attribute(name, value))),
    ...(node.domain ? [bytesField(NODE.domain, node.domain)] : []),
  ]);
}

function attribute(name: string, value: Attribute): Uint8Array {
  const kind = typeof value === 'bigint' ? 'int' : typeof value === 'number' ? 'float' : 'ints';
  const fields =
    typeof value === 'bigint'
      ? [intField(ATTRIBUTE.int, value)]
      : typeof value === 'number'
        ? [floatField(ATTRIBUTE.float, value)]
        : value.map((item) => intField(ATTRIBUTE.ints, item));
  return join([bytesField(ATTRIBUTE.name, name), ...fields, intField(ATTRIBUTE.type, ATTRIBUTE_TYPE[kind])]);
}

/** A `ValueInfoProto` of a tensor. A string is a symbolic dimension, null an unknown one. */
export function valueMessage(name: string, typeCode: number, dims: readonly (number | string | null)[]): Uint8Array {
  const dimension = (dim: number | string | null) =>
    dim === null ? new Uint8Array(0) : typeof dim === 'number' ? intField(1, dim) : bytesField(2, dim);
  const shape = dims.map((dim) => bytesField(1, dimension(dim)));
  const tensor = [intField(1, typeCode), bytesField(2, shape)];
  return join([bytesField(1, name), bytesField(2, bytesField(1, tensor))]);
}

/** The fields of a `TensorProto` besides its elements. */
export interface TensorHead {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly number[];
}

function tensorHead(tensor: TensorHead): Uint8Array {
  return join([
    ...tensor.dims.map((dim) => intField(TENSOR.dims, dim)),
    intField(TENSOR.type, onnxNumber(tensor.type)),
    bytesField(TENSOR.name, tensor.name),
  ]);
}

/** A `TensorProto` without its elements: `byteLength` bytes of raw little-endian elements must follow. */
export function inlineTensorHead(tensor: TensorHead, byteLength: number): Uint8Array {
  return join([tensorHead(tensor), bytesHeader(TENSOR.raw, byteLength)]);
}

/** A `TensorProto` with its elements, raw and little-endian. */
export function tensorMessage(tensor: TensorHead, elements: ArrayBufferView): Uint8Array {
  const raw = new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength);
  return join([inlineTensorHead(tensor, raw.length), raw]);
}

/** A `TensorProto` whose elements are in a separate file. */
export function externalTensorMessage(
  tensor: TensorHead,
  file: string,
  offset: number,
  byteLength: number,
): Uint8Array {
  return join([tensorHead(tensor), externalEntries(file, offset, byteLength)]);
}

/** The fields of a `TensorProto` that say where in a separate file its elements are. */
export function externalEntries(file: string, offset: number, byteLength: number): Uint8Array {
  const entry = (key: string, value: string) => bytesField(TENSOR.external, [bytesField(1, key), bytesField(2, value)]);
  return join([
    entry('location', file),
    entry('offset', String(offset)),
    entry('length', String(byteLength)),
    intField(TENSOR.location, 1),
  ]);
}

/** An `OperatorSetIdProto`. */
export function opsetMessage(domain: string, version: number): Uint8Array {
  return join([bytesField(1, domain), intField(2, version)]);
}
