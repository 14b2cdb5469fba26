import { memorySource } from './byte-source.js';
import type { Graph, GraphNode } from './graph.js';
import { ATTRIBUTE, MODEL, NODE } from './messages.js';
import { bytesField, bytesHeader, fields, join, readText, type WireField } from './wire.js';

/** Replaces parts of an ONNX file without decoding and encoding the rest. */

/** Bytes that replace `[start, end)` within the graph's field. */
export interface Splice {
  readonly start: number;
  readonly end: number;
  readonly bytes: Uint8Array;
}

/** The model with parts of its graph replaced, and the graph's length corrected. The model's bytes are copied once. */
export function spliced(model: Uint8Array, graph: Graph, splices: readonly Splice[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = graph.place.payload;
  for (const { start, end, bytes } of [...splices].sort((a, b) => a.start - b.start)) {
    parts.push(model.subarray(at, start), bytes);
    at = end;
  }
  parts.push(model.subarray(at, graph.place.end));
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return join([
    model.subarray(0, graph.place.start),
    bytesHeader(MODEL.graph, length),
    ...parts,
    model.subarray(graph.place.end),
  ]);
}

/** The node's message with one of its inputs replaced. */
export function withInput(model: Uint8Array, node: GraphNode, index: number, name: string): Uint8Array {
  const source = memorySource(model);
  const parts: Uint8Array[] = [];
  let inputs = 0;
  for (const field of fields(source, node.place.payload, node.place.end)) {
    const replaced = field.number === NODE.input && inputs++ === index;
    parts.push(replaced ? bytesField(NODE.input, name) : model.subarray(field.start, field.end));
  }
  return join(parts);
}

/** The node's message without one of its attributes. */
export function withoutAttribute(model: Uint8Array, node: GraphNode, name: string): Uint8Array {
  const source = memorySource(model);
  const isNamed = (attribute: WireField) =>
    [...fields(source, attribute.payload, attribute.end)].some(
      (field) => field.number === ATTRIBUTE.name && readText(source, field) === name,
    );
  const own = [...fields(source, node.place.payload, node.place.end)];
  const kept = own.filter((field) => field.number !== NODE.attribute || !isNamed(field));
  return join(kept.map((field) => model.subarray(field.start, field.end)));
}
