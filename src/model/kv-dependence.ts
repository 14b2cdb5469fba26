import type { KvDependence } from '../core/kv-dependence.js';
import type { Graph } from './onnx/graph.js';
import { lengthChoices } from './onnx/length-choices.js';

/** Finds out of a model's graph what its K/V depends on. */

/** Operators that derive their scales from all tokens of a run. */
const DYNAMIC = new Set('DynamicQuantizeLinear DynamicQuantizeMatMul'.split(' '));

/** What the K/V of a token depends on in this graph. */
export function kvDependence(graph: Graph): KvDependence {
  const choices = lengthChoices(graph);
  if (choices.kind === 'unrecognised') return { kind: 'length', reason: choices.reason };
  const dynamic = graph.nodes
    .flatMap((node) => [node.opType, ...node.innerOpTypes])
    .find((opType) => DYNAMIC.has(opType));
  if (choices.kind === 'border') {
    if (dynamic === undefined) return { kind: 'border', borderTokens: choices.borderTokens };
    return { kind: 'length', reason: `it chooses by length, and ${dynamic} derives scales from a whole run` };
  }
  if (dynamic === undefined) return { kind: 'prefix' };
  return { kind: 'run', reason: `${dynamic} derives its scales from all tokens of a run` };
}
