import { Corrupt } from '../../errors.js';
import { onnxNumber } from '../../ort/element-type.js';
import type { ByteSource } from './byte-source.js';
import { ATTRIBUTE, FUNCTION, GRAPH, MODEL, NODE, TENSOR } from './messages.js';
import { fields, readInts, readText, type WireField } from './wire.js';

/** Reads the graph of an ONNX file, without the elements of its weights. */
export interface Graph {
  /** The version of ONNX's own operator set. */
  readonly opset: number;
  /** The inputs that a run must give. */
  readonly inputs: readonly GraphValue[];
  /** Inputs that have a default among the initializers, which a run may replace. Older files list all their weights so. */
  readonly optionalInputs: readonly GraphValue[];
  readonly outputs: readonly GraphValue[];
  /** The types that the file states for intermediate tensors. */
  readonly values: readonly GraphValue[];
  /** In file order. */
  readonly nodes: readonly GraphNode[];
  readonly initializers: readonly Initializer[];
  /** The model's own functions, by `domain:operator`. */
  readonly functions: ReadonlyMap<string, GraphBody>;
  /** Sorted paths of files with external data, relative to the graph's folder. */
  readonly externalFiles: readonly string[];
  /** The graph's field in the file. */
  readonly place: WireField;
}

export interface GraphValue {
  readonly name: string;
  /** The ONNX number of the element type (`TensorProto.DataType`); 0 if the value is not a tensor. */
  readonly elementCode: number;
  /** A string is a symbolic dimension, null an unknown one. */
  readonly dims: readonly (number | string | null)[];
  readonly place: WireField;
}

export interface GraphNode {
  readonly opType: string;
  readonly domain: string;
  /** An absent optional input or output is ''. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** The tensor of a Constant; null for other operators, and for a constant that is not a tensor. */
  readonly constant: Initializer | null;
  /** The attributes that are integers or lists of integers. */
  readonly integers: ReadonlyMap<string, readonly number[]>;
  /** The graphs within the node, such as the branches of an If. */
  readonly bodies: readonly GraphBody[];
  readonly place: WireField;
}

/** The nodes of a graph within a node, or of a function of the model. */
export interface GraphBody {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly GraphNode[];
  readonly initializers: readonly Initializer[];
}

export interface Initializer {
  readonly name: string;
  /** The ONNX number of the element type. */
  readonly elementCode: number;
  readonly dims: readonly number[];
  /** The only element of a tensor of one number; null for other tensors. */
  readonly scalar: number | null;
  /** The elements of a list of up to eight integers; null for other tensors. */
  readonly integers: readonly number[] | null;
}

/** The longest list of integers whose elements are read: axes and shapes. */
const INTEGERS = 8;

/**
 * Reads the graph of an ONNX model.
 * @throws Corrupt if the source is not an ONNX model
 */
export function readGraph(source: ByteSource): Graph {
  let place: WireField | undefined;
  let opset = 0;
  const functions = new Map<string, GraphBody>();
  const files = new Set<string>();
  for (const field of fields(source)) {
    if (field.number === MODEL.graph) {
      if (place) throw new Corrupt('cannot read an ONNX model: it has two graphs');
      place = field;
    } else if (field.number === MODEL.opset) opset = readOpset(source, field) ?? opset;
    else if (field.number === MODEL.function) {
      const { key, body } = readFunction(source, field, files);
      functions.set(key, body);
    }
  }
  if (!place) throw new Corrupt('cannot read an ONNX model: the file has no graph');
  return { opset, place, functions, ...readContents(source, place, files) };
}

function readOpset(source: ByteSource, place: WireField): number | null {
  let domain = '';
  let version = 0;
  for (const field of fields(source, place.payload, place.end)) {
    if (field.number === 1) domain = readText(source, field);
    else if (field.number === 2) version = field.value;
  }
  return domain === '' || domain === 'ai.onnx' ? version : null;
}

function readFunction(source: ByteSource, place: WireField, files: Set<string>): { key: string; body: GraphBody } {
  const body = { inputs: [] as string[], outputs: [] as string[], nodes: [] as GraphNode[], initializers: [] };
  let name = '';
  let domain = '';
  for (const field of fields(source, place.payload, place.end)) {
    if (field.number === FUNCTION.name) name = readText(source, field);
    else if (field.number === FUNCTION.domain) domain = readText(source, field);
    else if (field.number === FUNCTION.input) body.inputs.push(readText(source, field));
    else if (field.number === FUNCTION.output) body.outputs.push(readText(source, field));
    else if (field.number === FUNCTION.node) body.nodes.push(readNode(source, field, files));
  }
  return { key: `${domain}:${name}`, body };
}

function readContents(
  source: ByteSource,
  graph: WireField,
  files: Set<string>,
): Omit<Graph, 'opset' | 'place' | 'functions'> {
  const inputs: GraphValue[] = [];
  const outputs: GraphValue[] = [];
  const values: GraphValue[] = [];
  const nodes: GraphNode[] = [];
  const initializers: Initializer[] = [];
  for (const field of fields(source, graph.payload, graph.end)) {
    if (field.number === GRAPH.node) nodes.push(readNode(source, field, files));
    else if (field.number === GRAPH.initializer) initializers.push(readTensor(source, field, files));
    else if (field.number === GRAPH.input) inputs.push(readValue(source, field));
    else if (field.number === GRAPH.output) outputs.push(readValue(source, field));
    else if (field.number === GRAPH.valueInfo) values.push(readValue(source, field));
  }
  const names = new Set(initializers.map((initializer) => initializer.name));
  return {
    inputs: inputs.filter((input) => !names.has(input.name)),
    optionalInputs: inputs.filter((input) => names.has(input.name)),
    outputs,
    values,
    nodes,
    initializers,
    externalFiles: [...files].sort(),
  };
}

function readNode(source: ByteSource, place: WireField, files: Set<string>): GraphNode {
  const node = {
    ...{ opType: '', domain: '', inputs: [] as string[], outputs: [] as string[], place },
    ...{ constant: null as Initializer | null, integers: new Map<string, number[]>(), bodies: [] as GraphBody[] },
  };
  for (const field of fields(source, place.payload, place.end)) {
    if (field.number === NODE.input) node.inputs.push(readText(source, field));
    else if (field.number === NODE.output) node.outputs.push(readText(source, field));
    else if (field.number === NODE.opType) node.opType = readText(source, field);
    else if (field.number === NODE.domain) node.domain = readText(source, field);
    else if (field.number === NODE.attribute) readAttribute(source, field, node, files);
  }
  return { ...node, constant: node.constant ?? integerConstant(node) };
}

/** A Constant whose value is an integer, or a list of them, instead of a tensor. */
function integerConstant({ opType, outputs, integers }: Omit<GraphNode, 'constant'>): Initializer | null {
  const scalar = integers.get('value_int');
  const list = integers.get('value_ints');
  const values = scalar ?? list;
  if (opType !== 'Constant' || values === undefined) return null;
  return {
    ...{ name: outputs[0] ?? '', elementCode: onnxNumber('int64'), dims: scalar === undefined ? [values.length] : [] },
    ...{ scalar: values.length === 1 ? values[0]! : null, integers: list ?? null },
  };
}

/** Reads integers, the tensor of a Constant, and the graphs within an attribute, and finds the external data of its tensors. */
function readAttribute(
  source: ByteSource,
  place: WireField,
  node: { constant: Initializer | null; integers: Map<string, number[]>; bodies: GraphBody[] },
  files: Set<string>,
): void {
  let name = '';
  const ints: number[] = [];
  for (const field of fields(source, place.payload, place.end)) {
    if (field.number === ATTRIBUTE.name) name = readText(source, field);
    else if (field.number === ATTRIBUTE.int || field.number === ATTRIBUTE.ints) readInts(source, field, ints);
    else if (field.number === ATTRIBUTE.tensor) node.constant = readTensor(source, field, files);
    else if (field.number === ATTRIBUTE.tensors) readTensor(source, field, files);
    else if (field.number === ATTRIBUTE.graph || field.number === ATTRIBUTE.graphs) {
      const { inputs, outputs, ...rest } = readContents(source, field, files);
      node.bodies.push({ inputs: namesOf(inputs), outputs: namesOf(outputs), ...rest });
    }
  }
  if (ints.length > 0) node.integers.set(name, ints);
}

function namesOf(values: readonly GraphValue[]): string[] {
  return values.map(({ name }) => name);
}

function readTensor(source: ByteSource, place: WireField, files: Set<string>): Initializer {
  const dims: number[] = [];
  let name = '';
  let elementCode = 0;
  const data: WireField[] = [];
  for (const field of fields(source, place.payload, place.end)) {
    if (field.number === TENSOR.dims) readInts(source, field, dims);
    else if (field.number === TENSOR.type) elementCode = field.value;
    else if (field.number === TENSOR.name) name = readText(source, field);
    else if (field.number === TENSOR.external) {
      const [key, value] = readEntry(source, field);
      if (key === 'location') files.add(value);
    } else data.push(field);
  }
  const single = dims.reduce((product, dim) => product * dim, 1) === 1;
  const integers = dims.length === 1 && dims[0]! <= INTEGERS ? readIntegers(source, data, elementCode) : null;
  return { name, elementCode, dims, scalar: single ? readScalar(source, data, elementCode) : null, integers };
}

/** The elements of a list of integers, from the field that holds them. */
function readIntegers(source: ByteSource, data: readonly WireField[], elementCode: number): number[] | null {
  const bytes = elementCode === onnxNumber('int64') ? 8 : elementCode === onnxNumber('int32') ? 4 : 0;
  const ints: number[] = [];
  for (const field of data) {
    if (bytes > 0 && (field.number === TENSOR.int32s || field.number === TENSOR.int64s)) readInts(source, field, ints);
    if (bytes === 0 || field.number !== TENSOR.raw) continue;
    const view = new DataView(Uint8Array.from(source.read(field.payload, field.end)).buffer);
    for (let at = 0; at < view.byteLength; at += bytes)
      ints.push(bytes === 8 ? Number(view.getBigInt64(at, true)) : view.getInt32(at, true));
  }
  return ints.length > 0 ? ints : null;
}

/** The element of a tensor of one number, from the field that holds it. */
function readScalar(source: ByteSource, data: readonly WireField[], elementCode: number): number | null {
  for (const field of data) {
    if (field.number === TENSOR.int32s || field.number === TENSOR.int64s) {
      const ints: number[] = [];
      readInts(source, field, ints);
      return ints[0] ?? null;
    }
    const size = field.end - field.payload;
    const view = () => new DataView(Uint8Array.from(source.read(field.payload, field.end)).buffer);
    if (field.number === TENSOR.floats && size === 4) return view().getFloat32(0, true);
    if (field.number === TENSOR.raw) return readRawScalar(view(), elementCode);
  }
  return null;
}

function readRawScalar(view: DataView, elementCode: number): number | null {
  const bytes = view.byteLength;
  if (elementCode === onnxNumber('float32') && bytes === 4) return view.getFloat32(0, true);
  if (elementCode === onnxNumber('int32') && bytes === 4) return view.getInt32(0, true);
  if (elementCode === onnxNumber('int64') && bytes === 8) return Number(view.getBigInt64(0, true));
  return null;
}

function readEntry(source: ByteSource, place: WireField): [string, string] {
  const entry: [string, string] = ['', ''];
  for (const field of fields(source, place.payload, place.end)) {
    if (field.number === 1) entry[0] = readText(source, field);
    else if (field.number === 2) entry[1] = readText(source, field);
  }
  return entry;
}

function readValue(source: ByteSource, place: WireField): GraphValue {
  const value = { name: '', elementCode: 0, dims: [] as (number | string | null)[] };
  for (const field of fields(source, place.payload, place.end)) {
    if (field.number === 1) value.name = readText(source, field);
    else if (field.number === 2) {
      for (const type of fields(source, field.payload, field.end)) {
        if (type.number === 1) readTensorType(source, type, value);
      }
    }
  }
  return { ...value, place };
}

function readTensorType(
  source: ByteSource,
  place: WireField,
  into: { elementCode: number; dims: (number | string | null)[] },
): void {
  for (const field of fields(source, place.payload, place.end)) {
    if (field.number === 1) into.elementCode = field.value;
    else if (field.number === 2) {
      for (const dim of fields(source, field.payload, field.end)) into.dims.push(readDimension(source, dim));
    }
  }
}

function readDimension(source: ByteSource, place: WireField): number | string | null {
  let dim: number | string | null = null;
  for (const field of fields(source, place.payload, place.end)) {
    if (field.number === 1) dim = field.value;
    else if (field.number === 2) dim = readText(source, field) || null;
  }
  return dim;
}
