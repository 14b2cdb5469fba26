import type { FloatType, HeadShape, KvElementType, KvLayout, StateShape } from '../core/kv-layout.js';
import { Refused } from '../errors.js';
import { onnxNumber } from '../ort/element-type.js';
import type { ModelConfig } from './config.js';
import type { Graph, GraphValue } from './onnx/graph.js';
import { LOGITS_TO_KEEP_NAMES } from './onnx/logits-to-keep.js';
import { readsPast } from './onnx/past-readers.js';
import { whyUnsupported } from './unsupported-input.js';

/** Derives how to run a decoder's graph from its names, shapes and operators. */

/** The properties of a decoder's graph that the engine needs to run it. */
export interface GraphSignature {
  readonly layout: KvLayout;
  /** `in-place`: past and present may be one buffer, to which the graph appends. `hand-on`: the outputs become the next inputs. */
  readonly kind: 'in-place' | 'hand-on';
  /** The K/V inputs and outputs: K of layer 0, V of layer 0, K of layer 1, ... */
  readonly pastNames: readonly string[];
  readonly presentNames: readonly string[];
  /** The inputs and outputs of the states of layers without K/V, as in `layout.states`. */
  readonly stateNames: readonly StateName[];
  readonly hasAttentionMask: boolean;
  readonly hasPositionIds: boolean;
  /** The input with the number of last positions whose logits are computed; null if the graph computes all. */
  readonly logitsToKeep: string | null;
  /** The shape of that input: a scalar, or a vector of one number. */
  readonly logitsToKeepShape: readonly [] | readonly [1];
  readonly logitsElementType: FloatType;
  /** Whether the graph computes the logits of the last position alone, because its head was pruned when it was exported. */
  readonly lastLogitsOnly: boolean;
}

/** The state of a layer before and after the tokens of a run. */
interface StateName {
  readonly input: string;
  readonly output: string;
}

const TOKEN_INPUTS = ['input_ids', 'attention_mask', 'position_ids', ...LOGITS_TO_KEEP_NAMES];
const PAST = /^past_key_values\.(\d+)\.(key|value)$/;
/** The state of a convolution, state-space or linear-attention layer, by the names that exporters give it. */
const STATE =
  /^past_(conv|recurrent|ssm|mamba|linear)\w*\.\d+$|^past(_key_values)?\.\d+\.(conv|ssm|recurrent)(_state)?$|^cache_params\.past\./;
const FLOATS: readonly FloatType[] = ['float32', 'float16', 'bfloat16'];
const KV_TYPES: readonly KvElementType[] = [...FLOATS, 'int8', 'uint8', 'float8e4m3fn', 'float8e5m2'];

/**
 * Derives the signature of a decoder's graph: the shapes come from the graph, not from config.json. Possible inputs are `input_ids`, `attention_mask`, `position_ids`, `num_logits_to_keep` or
 * `logits_to_keep`, `past_key_values.N.key|value` `[batch, kvHeads, past, headDim]`, and states `[batch, ...]` of layers without K/V; outputs are `logits`,
 * `present.N.key|value` or `present_key_values.N.key|value`, and the states after the run.
 * @throws Refused if the graph cannot be run, naming the input or output that prevents it
 */
export function graphSignature(graph: Graph, config: ModelConfig, blockTokens: number): GraphSignature {
  const inputs = new Map(graph.inputs.map((input) => [input.name, input]));
  for (const name of inputs.keys()) {
    if (!TOKEN_INPUTS.includes(name) && !PAST.test(name) && !STATE.test(name)) {
      const reason = whyUnsupported(name);
      if (reason !== null) throw refused(`its input "${name}": ${reason}`);
      throw refused(
        `it has an unknown input "${name}"; known inputs are ${TOKEN_INPUTS.join(', ')}, past_key_values.N.key|value, and states such as past_conv.N`,
      );
    }
  }
  for (const name of TOKEN_INPUTS) {
    const input = inputs.get(name);
    if (input && input.elementCode !== onnxNumber('int64')) {
      throw refused(
        `its input "${name}" has ONNX element type ${input.elementCode}, not int64; export it with int64 inputs`,
      );
    }
    if (input) requireRank(input);
  }
  if (!inputs.has('input_ids')) throw refused('it has no input "input_ids"');
  const pastNames = layerNames(graph);
  const presentNames = pastNames.map((name) => presentName(graph, name));
  const logitsToKeep = LOGITS_TO_KEEP_NAMES.find((name) => inputs.has(name)) ?? null;
  const stateNames = [...inputs.keys()].filter((name) => STATE.test(name)).map((name) => stateName(graph, name));
  const states = stateNames.map((name) => stateShape(graph, name));
  const appends =
    states.length === 0 &&
    pastNames.every((_, i) => sharesBuffers(graph, pastNames, presentNames, i)) &&
    !readsPast(graph, pastNames);
  return {
    layout: {
      layers: pastNames.length / 2,
      blockTokens,
      ...kvShape(graph, pastNames, presentNames, config),
      ...(states.length === 0 ? {} : { states }),
    },
    kind: appends ? 'in-place' : 'hand-on',
    ...{ pastNames, presentNames, stateNames },
    hasAttentionMask: inputs.has('attention_mask'),
    hasPositionIds: inputs.has('position_ids'),
    logitsToKeep,
    logitsToKeepShape: inputs.get(logitsToKeep ?? '')?.dims.length === 1 ? [1] : [],
    logitsElementType: floatType(outputNamed(graph, 'logits')),
    lastLogitsOnly: outputNamed(graph, 'logits').dims[1] === 1,
  };
}

/** Checks the number of dimensions of an input with tokens. A file that does not state it has none. */
function requireRank({ name, dims }: GraphValue): void {
  const isNumber = LOGITS_TO_KEEP_NAMES.includes(name);
  const ranks = isNumber ? [0, 1] : [0, 2];
  if (ranks.includes(dims.length)) return;
  const shown = `its input "${name}" has shape [${dims.map((dim) => dim ?? '?').join(', ')}]`;
  if (isNumber) throw refused(`${shown}, not the shape of a number; export it again`);
  if (name === 'position_ids' && dims.length === 3)
    throw refused(`${shown}: its positions have several coordinates, as of images; use a text model`);
  throw refused(`${shown}, not [batch, tokens]; export it again`);
}

/** The K/V inputs in the order of their layers. Layers without their own K/V, as in Gemma 3n, are left out. */
function layerNames(graph: Graph): string[] {
  const given = graph.inputs.map(({ name }) => PAST.exec(name)).filter((match) => match !== null);
  if (given.length === 0 && graph.inputs.some(({ name }) => STATE.test(name)))
    throw refused(
      'its layers have states and none has K/V (Mamba); a model whose layers have a state alone is not supported',
    );
  if (given.length === 0) throw refused('it has no past K/V (past_key_values.N.key|value); export it "with past"');
  const layers = [...new Set(given.map((match) => Number(match[1])))].sort((a, b) => a - b);
  const names = layers.flatMap((n) => [`past_key_values.${n}.key`, `past_key_values.${n}.value`]);
  const known = new Set(given.map((match) => match[0]));
  const missing = names.find((name) => !known.has(name));
  if (missing) throw refused(`layer ${PAST.exec(missing)![1]} has K or V alone: there is no input "${missing}"`);
  return names;
}

function kvShape(
  graph: Graph,
  pastNames: readonly string[],
  presentNames: readonly string[],
  config: ModelConfig,
): Omit<KvLayout, 'layers' | 'blockTokens'> {
  const pasts = pastNames.map((name) => graph.inputs.find((input) => input.name === name)!);
  const [first] = pasts;
  const elementType = kvType(first!);
  const shapes = pasts.map((past, i) => headShape([past, outputNamed(graph, presentNames[i]!)], config));
  for (const value of [...pasts, ...presentNames.map((name) => outputNamed(graph, name))]) {
    if (kvType(value) !== elementType) throw refused(`"${value.name}" is not ${elementType} like "${first!.name}"`);
  }
  const { kvHeads, headDim } = shapes[0]!;
  const even = shapes.every((shape) => shape.kvHeads === kvHeads && shape.headDim === headDim);
  return { kvHeads, headDim, elementType, ...(even ? {} : { uneven: shapes }) };
}

/** The shape of K or V, from the input or the output, or from config.json where both have symbolic dimensions. */
function headShape(values: readonly GraphValue[], config: ModelConfig): HeadShape {
  for (const { name, dims } of values) {
    const shown = `"${name}" has shape [${dims.map((dim) => dim ?? '?').join(', ')}]`;
    if (dims.length !== 4)
      throw refused(`${shown}, not [batch, heads, tokens, size]; export it with a newer version of transformers`);
    if (typeof dims[2] === 'number')
      throw refused(
        `${shown}: its third dimension is not the number of tokens; export it with [batch, heads, tokens, size]`,
      );
  }
  const dimension = (axis: number, ofConfig: number | null) => {
    const stated = [...new Set(values.map(({ dims }) => dims[axis]).filter((dim) => typeof dim === 'number'))];
    const names = values.map(({ name }) => `"${name}"`).join(' and ');
    if (stated.length > 1) throw refused(`${names} differ in shape: ${stated.join(' and ')} in dimension ${axis}`);
    const size = stated[0] ?? ofConfig;
    if (size === null)
      throw refused(`neither ${names} nor config.json state dimension ${axis} of K/V; export it again`);
    return size;
  };
  return { kvHeads: dimension(1, config.kvHeads), headDim: dimension(3, config.headDim) };
}

/** K/V and states after a run have the name of those before it, with `present` for `past`. Some exporters keep `_key_values`. */
function presentName({ outputs }: Graph, past: string): string {
  const short = past.replace(/past(_key_values)?/, 'present');
  const long = past.replace('past', 'present');
  return !outputs.some(({ name }) => name === short) && outputs.some(({ name }) => name === long) ? long : short;
}

function stateName(graph: Graph, input: string): StateName {
  const output = presentName(graph, input);
  outputNamed(graph, output);
  return { input, output };
}

function stateShape(graph: Graph, { input, output }: StateName): StateShape {
  const before = graph.inputs.find(({ name }) => name === input)!;
  const elementType = floatType(before);
  const after = outputNamed(graph, output);
  const [, ...dims] = before.dims;
  const shown = `"${input}" has shape [${before.dims.map((dim) => dim ?? '?').join(', ')}]`;
  const sizes = dims.filter((dim): dim is number => typeof dim === 'number' && dim > 0);
  if (sizes.length === 0 || sizes.length < dims.length)
    throw refused(`${shown}; of the state of a layer all dimensions after the batch must be known; export it again`);
  if (after.elementCode !== before.elementCode) throw refused(`"${output}" has another element type than "${input}"`);
  if (
    after.dims.length !== before.dims.length ||
    after.dims.slice(1).some((dim, i) => typeof dim === 'number' && dim !== dims[i])
  )
    throw refused(`"${input}" and "${output}" differ in shape`);
  return { dims: sizes, elementType };
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

function floatType(value: GraphValue): FloatType {
  return typeIn(value, FLOATS);
}

function kvType(value: GraphValue): KvElementType {
  return typeIn(value, KV_TYPES);
}

function typeIn<Type extends KvElementType>(value: GraphValue, types: readonly Type[]): Type {
  const found = types.find((type) => onnxNumber(type) === value.elementCode);
  if (found) return found;
  throw refused(`"${value.name}" has ONNX element type ${value.elementCode}, which is not one of ${types.join(', ')}`);
}

function refused(reason: string): Refused {
  return new Refused(`cannot run the model's graph as a decoder: ${reason}`);
}
