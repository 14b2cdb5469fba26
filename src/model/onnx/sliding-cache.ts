import { memorySource } from './byte-source.js';
import { type GraphNode, readGraph } from './graph.js';
import { GRAPH } from './messages.js';
import { spliced, withoutAttribute } from './splice.js';
import { bytesField } from './wire.js';

/** Edits graphs whose layers with windows expect K/V buffers from which tokens before the window are dropped. */

/**
 * The attribute with which onnxruntime-genai's builder, from 0.18 on, marks the layers whose buffers its runtime makes as long as their window. ONNX Runtime then refuses
 * shorter buffers, such as empty ones, and drops tokens from full ones.
 */
const SLIDING = 'sliding_window_cache';

/**
 * The graph with K/V of all tokens in all layers. The attribute `local_window_size` stays, so the numbers do not change. A graph without such
 * layers is returned as it is.
 * @param model the bytes of an ONNX file; not changed
 * @throws Corrupt if the bytes are not an ONNX model
 */
export function withWholePast(model: Uint8Array): Uint8Array {
  const graph = readGraph(memorySource(model));
  const nodes = graph.nodes.filter(slides);
  if (nodes.length === 0) return model;
  const splices = nodes.map((node) => ({
    ...node.place,
    bytes: bytesField(GRAPH.node, withoutAttribute(model, node, SLIDING)),
  }));
  return spliced(model, graph, splices);
}

function slides({ opType, integers }: GraphNode): boolean {
  return opType === 'GroupQueryAttention' && integers.has(SLIDING);
}
