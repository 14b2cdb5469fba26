import type { Graph, GraphNode } from './graph.js';

/** Which node of a graph computes a tensor, and which ones read it. */

/** By tensor, the node that computes it. Inputs and weights have none. */
export function producersOf(graph: Graph): Map<string, GraphNode> {
  const producers = new Map<string, GraphNode>();
  for (const node of graph.nodes) for (const output of node.outputs) if (output) producers.set(output, node);
  return producers;
}

/** By tensor, the nodes that read it. */
export type Readers = ReadonlyMap<string, readonly GraphNode[]>;

export function readersOf(graph: Graph): Readers {
  const readers = new Map<string, GraphNode[]>();
  for (const node of graph.nodes) {
    for (const input of new Set(node.inputs)) {
      const known = readers.get(input);
      if (known) known.push(node);
      else readers.set(input, [node]);
    }
  }
  return readers;
}
