/** Writes small ONNX graphs, field by field of onnx.proto. */

type Dims = readonly (number | string)[];

export interface TensorSpec {
  name: string;
  /** ONNX's number of the element type. */
  type: number;
  dims: Dims;
}

export interface NodeSpec {
  op: string;
  inputs: string[];
  outputs: string[];
}

export interface GraphSpec {
  inputs: TensorSpec[];
  outputs: TensorSpec[];
  nodes: NodeSpec[];
  metadata?: Record<string, string>;
  /** Weights of float32 in a file beside the model. */
  external?: { name: string; dims: number[]; file: string; byteLength: number };
}

export function onnxModel(spec: GraphSpec): Uint8Array {
  const graph = [
    ...spec.nodes.map((node) => field(1, encodeNode(node))),
    field(2, 'graph'),
    ...(spec.external === undefined ? [] : [field(5, encodeExternal(spec.external))]),
    ...spec.inputs.map((tensor) => field(11, encodeTensor(tensor))),
    ...spec.outputs.map((tensor) => field(12, encodeTensor(tensor))),
  ].flat();
  const metadata = Object.entries(spec.metadata ?? {}).map(([key, value]) => field(14, encodeEntry(key, value)));
  return Uint8Array.from([...number(1, 8), ...field(8, number(2, 17)), ...field(7, graph), ...metadata.flat()]);
}

function encodeNode({ op, inputs, outputs }: NodeSpec): number[] {
  return [
    ...inputs.flatMap((name) => field(1, name)),
    ...outputs.flatMap((name) => field(2, name)),
    ...field(3, `${op} of ${outputs}`),
    ...field(4, op),
  ];
}

function encodeTensor({ name, type, dims }: TensorSpec): number[] {
  const shape = dims.flatMap((dim) => field(1, typeof dim === 'string' ? field(2, dim) : number(1, dim)));
  return [...field(1, name), ...field(2, field(1, [...number(1, type), ...field(2, shape)]))];
}

function encodeExternal({ name, dims, file, byteLength }: NonNullable<GraphSpec['external']>): number[] {
  return [
    ...dims.flatMap((dim) => number(1, dim)),
    ...number(2, 1),
    ...field(8, name),
    ...field(13, encodeEntry('location', file)),
    ...field(13, encodeEntry('length', String(byteLength))),
    ...number(14, 1),
  ];
}

function encodeEntry(key: string, value: string): number[] {
  return [...field(1, key), ...field(2, value)];
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return [...bytes, rest];
}

function number(id: number, value: number): number[] {
  return [...varint(id * 8), ...varint(value)];
}

function field(id: number, content: string | readonly number[]): number[] {
  const bytes = typeof content === 'string' ? [...Buffer.from(content)] : content;
  return [...varint(id * 8 + 2), ...varint(bytes.length), ...bytes];
}
