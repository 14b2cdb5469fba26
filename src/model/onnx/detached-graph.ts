import type { ByteSource } from './byte-source.js';
import type { Graph } from './graph.js';
import { externalEntries, GRAPH, MODEL, TENSOR } from './messages.js';
import { bytesField, bytesHeader, fields, join, readText, type WireField } from './wire.js';

/** Writes a graph without the elements of its weights, which stay in their files. */

/** Elements of up to this size stay in the graph: shapes, scalars and norms, which ONNX Runtime reads while it optimizes the graph. */
const SMALL_TENSOR_BYTES = 16 * 1024;

/** The names of a graph's files, relative to the folder that ONNX Runtime is given. */
export interface WeightNames {
  /** The file of the graph itself. */
  readonly graph: string;
  /** By the `location` of external data in the graph, the file's name. */
  readonly external: ReadonlyMap<string, string>;
}

/**
 * The model with all large initializers as external data: those within the file become references to their bytes in it. ONNX Runtime maps
 * such weights instead of copying them, and edits of the graph copy none. Tensors of constants and of graphs within nodes are kept as they are.
 * @param graph the graph of `source`, as `readGraph` reads it
 * @throws Corrupt if the source is not an ONNX model
 */
export function detachedGraph(source: ByteSource, graph: Graph, names: WeightNames): Uint8Array {
  const { place } = graph;
  const copy = (start: number, end: number) => Uint8Array.from(source.read(start, end));
  const parts: Uint8Array[] = [];
  for (const field of fields(source, place.payload, place.end)) {
    parts.push(
      field.number === GRAPH.initializer ? detachedTensor(source, field, names) : copy(field.start, field.end),
    );
  }
  const byteLength = parts.reduce((sum, part) => sum + part.length, 0);
  return join([copy(0, place.start), bytesHeader(MODEL.graph, byteLength), ...parts, copy(place.end, source.length)]);
}

function detachedTensor(source: ByteSource, place: WireField, names: WeightNames): Uint8Array {
  const own = [...fields(source, place.payload, place.end)];
  const raw = own.find(({ number, payload, end }) => number === TENSOR.raw && end - payload > SMALL_TENSOR_BYTES);
  const kept: Uint8Array[] = [];
  for (const field of own) {
    if (field === raw) kept.push(externalEntries(names.graph, raw.payload, raw.end - raw.payload));
    // Of two locations, readers take the last: the tensor's own, which some exporters state, would override the new one.
    else if (raw !== undefined && field.number === TENSOR.location) continue;
    else if (field.number === TENSOR.external) kept.push(renamedEntry(source, field, names));
    else kept.push(Uint8Array.from(source.read(field.start, field.end)));
  }
  return bytesField(GRAPH.initializer, kept);
}

/** One entry of the description of external data, with the file's name replaced. */
function renamedEntry(source: ByteSource, place: WireField, { external }: WeightNames): Uint8Array {
  const own = Uint8Array.from(source.read(place.start, place.end));
  let key = '';
  let value = '';
  for (const field of fields(source, place.payload, place.end)) {
    if (field.number === 1) key = readText(source, field);
    else if (field.number === 2) value = readText(source, field);
  }
  const name = key === 'location' ? external.get(value) : undefined;
  return name === undefined ? own : bytesField(TENSOR.external, [bytesField(1, key), bytesField(2, name)]);
}
