import type { KvElementType, KvLayout } from '../core/kv-layout.js';
import { Refused } from '../errors.js';
import { onnxNumber } from '../ort/element-type.js';
import type { ModelConfig } from './config.js';
import type { Graph, GraphValue } from './onnx/graph.js';
import { LOGITS_TO_KEEP } from './onnx/logits-to-keep.js';

/** Derives how to run a decoder's graph from its names, shapes and operators. */

/** The properties of a decoder's graph that the engine needs to run it. */
export interface GraphSignature {
  readonly layout: KvLayout;
  /** `in-place`: past and present may be one buffer, to which the graph appends. `hand-on`: the outputs become the next inputs. */
  readonly kind: 'in-place' | 'hand-on';
  /** The K/V inputs and outputs: K of layer 0, V of layer 0, K of layer 1, ... */
  readonly pastNames: readonly string[];
  readonly presentNames: readonly string[];
  readonly hasAttentionMask: boolean;
  readonly hasPositionIds: boolean;
  /** Whether the graph can compute only the logits of the last `num_logits_to_keep` positions. */
  readonly hasLogitsToKeep: boolean;
  readonly logitsElementType: KvElementType;
}

const TOKEN_INPUTS = ['input_ids', 'attention_mask', 'position_ids', LOGITS_TO_KEEP];
const PAST = /^past_key_values\.(\d+)\.(key|value)$/;
const FLOATS: readonly KvElementType[] = ['float32', 'float16', 'bfloat16'];

/**
 * Derives the signature of a decoder's graph. Possible inputs are `input_ids`, `attention_mask`, `position_ids`, `num_logits_to_keep` and
 * `past_key_values.N.key|value` `[batch, kvHeads, past, headDim]`; outputs are `logits` and `present.N.key|value`.
 * @throws Refused if the graph cannot be run, naming the input or output that prevents it
 */
export function graphSignature(graph: Graph, config: ModelConfig, blockTokens: number): GraphSignature {
  const inputs = new Map(graph.inputs.map((input) => [input.name, input]));
  for (const name of inputs.keys()) {
    if (!TOKEN_INPUTS.includes(name) && !PAST.test(name)) {
      throw refused(
        `it has an unknown input "${name}"; known inputs are ${TOKEN_INPUTS.join(', ')}, past_key_values.N.key|value`,
      );
    }
  }
  for (const name of TOKEN_INPUTS) {
    const input = inputs.get(name);
    if (input && input.elementCode !== onnxNumber('int64')) {
      throw refused(`its input "${name}" has ONNX element type ${input.elementCode}, not int64`);
    }
  }
  if (!inputs.has('input_ids')) throw refused('it has no input "input_ids"');
  const pastNames = layerNames(graph, config.layers);
  const presentNames = pastNames.map((name) => name.replace('past_key_values', 'present'));
  return {
    layout: { layers: config.layers, blockTokens, ...kvShape(graph, pastNames, presentNames, config) },
    kind: pastNames.every((_, i) => sharesBuffers(graph, pastNames, presentNames, i)) ? 'in-place' : 'hand-on',
    pastNames,
    presentNames,
    hasAttentionMask: inputs.has('attention_mask'),
    hasPositionIds: inputs.has('position_ids'),
    hasLogitsToKeep: inputs.has(LOGITS_TO_KEEP),
    logitsElementType: floatType(outputNamed(graph, 'logits')),
  };
}

function layerNames(graph: Graph, layers: number): string[] {
  const names = Array.from({ length: layers }, (_, n) => [
    `past_key_values.${n}.key`,
    `past_key_values.${n}.value`,
  ]).flat();
  const given = new Set(graph.inputs.filter((input) => PAST.test(input.name)).map((input) => input.name));
  const missing = names.find((name) => !given.has(name));
  if (given.size === 0) throw refused('it has no past K/V (past_key_values.N.key|value); export it "with past"');
  if (missing) throw refused(`config.json has ${layers} layers, but the graph has no input "${missing}"`);
  const surplus = [...given].find((name) => !names.includes(name));
  if (surplus) throw refused(`config.json has ${layers} layers, but the graph has an input "${surplus}"`);
  return names;
}

function kvShape(
  graph: Graph,
  pastNames: readonly string[],
  presentNames: readonly string[],
  config: ModelConfig,
): Pick<KvLayout, 'kvHeads' | 'headDim' | 'elementType'> {
  const inputs = graph.inputs.filter((input) => pastNames.includes(input.name));
  const [first] = inputs;
  const shape = { kvHeads: config.kvHeads, headDim: config.headDim, elementType: floatType(first!) };
  for (const value of [...inputs, ...presentNames.map((name) => outputNamed(graph, name))]) {
    const [, kvHeads, , headDim] = value.dims;
    const fits = (dim: unknown, expected: number) => typeof dim !== 'number' || dim === expected;
    if (value.dims.length !== 4 || !fits(kvHeads, shape.kvHeads) || !fits(headDim, shape.headDim)) {
      const expected = `[batch, ${shape.kvHeads}, tokens, ${shape.headDim}]`;
      throw refused(
        `"${value.name}" has shape [${value.dims.map((dim) => dim ?? '?').join(', ')}], but config.json requires ${expected}`,
      );
    }
    if (floatType(value) !== shape.elementType)
      throw refused(`"${value.name}" is not ${shape.elementType} like "${first!.name}"`);
  }
  return shape;
}

/** Whether one GroupQueryAttention node, the operator that can append in place, computes a layer's present from its past. */
function sharesBuffers(
  graph: Graph,
  pastNames: readonly string[],
  presentNames: readonly string[],
  i: number,
): boolean {
  const key = i - (i % 2);
  return graph.nodes.some(
    (node) =>
      node.opType === 'GroupQueryAttention' &&
      node.domain === 'com.microsoft' &&
      node.inputs[3] === pastNames[key] &&
      node.inputs[4] === pastNames[key + 1] &&
      node.outputs[1] === presentNames[key] &&
      node.outputs[2] === presentNames[key + 1],
  );
}

function outputNamed(graph: Graph, name: string): GraphValue {
  const output = graph.outputs.find((value) => value.name === name);
  if (!output) throw refused(`it has no output "${name}"`);
  return output;
}

function floatType(value: GraphValue): KvElementType {
  const type = FLOATS.find((float) => onnxNumber(float) === value.elementCode);
  if (!type)
    throw refused(
      `"${value.name}" has ONNX element type ${value.elementCode}, which is not one of ${FLOATS.join(', ')}`,
    );
  return type;
}

function refused(reason: string): Refused {
  return new Refused(`cannot run the model's graph as a decoder: ${reason}`);
}
