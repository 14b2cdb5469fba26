import type { KvDependence } from '../core/kv-dependence.js';
import { onnxNumber } from '../ort/element-type.js';
import type { ModelFolder } from './folder.js';
import { flatGraph } from './onnx/flat-nodes.js';
import type { Graph } from './onnx/graph.js';
import { lengthChoices } from './onnx/length-choices.js';
import { tokenFlow } from './onnx/token-flow.js';
import { ropeByLength } from './rope-by-length.js';

/** Finds out of a model's graph and config.json what its K/V depends on. */

/** Operators that derive their scales from all tokens of a run. */
const DYNAMIC = new Set('DynamicQuantizeLinear DynamicQuantizeMatMul'.split(' '));

const BYTE_TYPES = ['int8', 'uint8', 'float8e4m3fn', 'float8e5m2'] as const;

/**
 * What the K/V of a token depends on in this model. Exporters write a choice by length in more ways than the graph's reader knows. If config.json
 * names rotary embeddings by length, and no border was found in the graph, nothing is shared, and sequences are as long as the short ones of
 * config.json.
 */
export function kvDependence({ graph, configJson }: Pick<ModelFolder, 'graph' | 'configJson'>): KvDependence {
  const found = graphDependence(graph);
  if (found.kind === 'border' || found.kind === 'length') return found;
  const rope = ropeByLength(configJson);
  if (rope === null) return found;
  const reason = `config.json names rotary embeddings of type ${rope.type}, and the graph does not show where they change`;
  // An exporter that traced the model with a short input has written the table of short sequences alone.
  return { kind: 'length', reason, ...(rope.shortTokens === null ? {} : { limitTokens: rope.shortTokens }) };
}

function graphDependence(graph: Graph): KvDependence {
  const choices = lengthChoices(graph);
  if (choices.kind === 'unrecognised') return { kind: 'length', reason: choices.reason };
  const flat = flatGraph(graph);
  const told = choices.kind === 'border' ? choices.choices.map(({ node }) => node) : [];
  const flow = tokenFlow(flat, new Set(told));
  if (flow.byLength !== null) return { kind: 'length', reason: flow.byLength };
  const dynamic = flat.nodes.find(({ opType }) => DYNAMIC.has(opType))?.opType;
  const ofOperators = dynamic === undefined ? flow.byRun : `${dynamic} derives its scales from all tokens of a run`;
  const reason = ofOperators ?? coarseKv(graph);
  if (choices.kind === 'border') {
    if (reason === null) return { kind: 'border', borderTokens: choices.borderTokens };
    return { kind: 'length', reason: `it chooses by length, and ${reason}` };
  }
  return reason === null ? { kind: 'prefix' } : { kind: 'run', reason };
}

/**
 * K/V of a byte per element has steps so large that the rounding of ONNX Runtime's kernels, which depends on the length of a run, shows in answers
 * where it decides between two steps.
 */
function coarseKv(graph: Graph): string | null {
  const past = graph.inputs.find(({ name }) => name.startsWith('past_key_values.'));
  const type = BYTE_TYPES.find((one) => onnxNumber(one) === past?.elementCode);
  return type === undefined
    ? null
    : `K/V of type ${type} has coarse steps, between which the rounding of a run decides`;
}
