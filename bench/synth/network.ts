import { LOGITS_TO_KEEP } from '../../src/model/onnx/logits-to-keep.js';
import { GRAPH, type Node, nodeMessage, valueMessage } from '../../src/model/onnx/messages.js';
import { bytesField } from '../../src/model/onnx/wire.js';
import { type ElementType, onnxNumber } from '../../src/ort/element-type.js';
import { concatAttention, sharedByConcatLayers } from './concat-attention.js';
import type { SynthSpec } from './spec.js';
import { constant, type Fill, normal, rotary } from './weights.js';

/** Builds the graph of a Llama-shaped decoder. */

export const RMS_NORM_EPSILON = 1e-5;
export const ROPE_THETA = 10_000;
/** The version of ONNX's operators of most graphs. */
export const OPSET = 17;

/** A weight tensor, and the function that generates its elements. */
export interface Weight {
  readonly name: string;
  readonly dims: readonly number[];
  /** Default: the model's type. */
  readonly type?: 'float32' | 'uint8';
  readonly fill: Fill;
}

/** An integer constant of the graph. */
export interface Constant {
  readonly name: string;
  readonly dims: readonly number[];
  readonly values: readonly bigint[];
}

type Dims = readonly (number | string)[];

/** A graph under construction. Nodes, inputs and outputs are encoded fields of `GraphProto`; weights are generated later. */
export class Network {
  readonly messages: Uint8Array[] = [];
  readonly weights: Weight[] = [];
  readonly constants: Constant[] = [];

  constructor(
    readonly spec: SynthSpec,
    /** The version of ONNX's operators. */
    readonly opset = OPSET,
  ) {}

  /** Adds a node. Returns the name of its first output. */
  node(
    op: string,
    inputs: readonly string[],
    output: string | readonly string[],
    rest: Pick<Node, 'domain' | 'attributes'> = {},
  ): string {
    const outputs = typeof output === 'string' ? [output] : output;
    this.messages.push(bytesField(GRAPH.node, nodeMessage({ op, inputs, outputs, ...rest })));
    return outputs[0]!;
  }

  input(name: string, type: ElementType, dims: Dims): void {
    this.messages.push(bytesField(GRAPH.input, valueMessage(name, onnxNumber(type), dims)));
  }

  output(name: string, type: ElementType, dims: Dims): void {
    this.messages.push(bytesField(GRAPH.output, valueMessage(name, onnxNumber(type), dims)));
  }

  /** Adds an int64 constant; a bigint is a scalar. */
  integers(name: string, values: bigint | readonly bigint[]): string {
    const scalar = typeof values === 'bigint';
    this.constants.push({ name, dims: scalar ? [] : [values.length], values: scalar ? [values] : values });
    return name;
  }

  weight(name: string, dims: readonly number[], fill: Fill, type?: Weight['type']): string {
    this.weights.push({ name, dims, fill, ...(type === undefined ? {} : { type }) });
    return name;
  }

  /** Multiplies `[.., rows]` by random weights `[rows, columns]` that scale the deviation of the input by `gain`. */
  project(input: string, name: string, rows: number, columns: number, gain = 1): string {
    return this.node('MatMul', [input, this.random(`${name}.weight`, rows, columns, gain / Math.sqrt(rows))], name);
  }

  /** As `project`, for a module of the model that adapters may change, if the model takes adapters. */
  adapted(input: string, name: string, module: string, [rows, columns]: readonly [number, number], gain = 1): string {
    if (this.spec.loraRank === undefined) return this.project(input, name, rows, columns, gain);
    const base = this.project(input, name, rows, columns, gain);
    const down = this.node('MatMul', [input, this.loraInput(module, 'A', rows)], `${name}.lora_A`);
    const change = this.node('MatMul', [down, this.loraInput(module, 'B', columns)], `${name}.lora_B`);
    return this.node('Add', [base, change], `${name}.adapted`);
  }

  /** An input with an empty default: of rank 0. */
  private loraInput(module: string, side: 'A' | 'B', size: number): string {
    const name = `${module}.lora_${side}.weight`;
    const dims = <R>(rank: R) => (side === 'A' ? [size, rank] : [rank, size]);
    this.input(name, this.spec.dtype, dims('lora_r'));
    return this.weight(name, dims(0), () => {});
  }

  /** Adds a root mean square normalisation with weights of 1. */
  normalise(input: string, name: string): string {
    const weight = this.weight(`${name}.weight`, [this.spec.hidden], constant(1, this.spec.dtype));
    return this.node('SimplifiedLayerNormalization', [input, weight], name, {
      attributes: { epsilon: RMS_NORM_EPSILON, axis: -1n },
    });
  }

  random(name: string, rows: number, columns: number, deviation: number, zeroColumn?: number): string {
    const { seed, dtype } = this.spec;
    const draw = { seed, name, deviation, type: dtype };
    const zero = zeroColumn === undefined ? undefined : { index: zeroColumn, columns };
    return this.weight(name, [rows, columns], normal(draw, zero));
  }
}

/** Scales up queries and keys, so that attention selects tokens instead of averaging all. */
export const SHARP_ATTENTION = 1.5;

/** Builds the graph of a Llama-shaped decoder (https://arxiv.org/abs/2302.13971) with grouped-query attention. */
export function buildNetwork(spec: SynthSpec): Network {
  const net = new Network(spec);
  net.input('input_ids', 'int64', ['batch_size', 'sequence_length']);
  net.input('attention_mask', 'int64', ['batch_size', 'total_sequence_length']);
  if (spec.attention === 'concat') net.input('position_ids', 'int64', ['batch_size', 'sequence_length']);
  net.input(LOGITS_TO_KEEP, 'int64', []);
  net.output('logits', 'float32', ['batch_size', 'logits_to_keep', spec.vocab]);
  rotaryCaches(net);
  if (spec.attention === 'gqa') sharedByGroupQueryLayers(net);
  else sharedByConcatLayers(net);
  let x = net.node('Gather', [net.random('embed.weight', spec.vocab, spec.hidden, 1), 'input_ids'], 'embed');
  for (let layer = 0; layer < spec.layers; layer++) x = decoderLayer(net, layer, x);
  head(net, x);
  return net;
}

function rotaryCaches(net: Network): void {
  const { contextTokens, headDim, dtype } = net.spec;
  for (const part of ['cos', 'sin'] as const) {
    net.weight(`rotary.${part}`, [contextTokens, headDim / 2], rotary(Math[part], headDim, ROPE_THETA, dtype));
  }
}

function decoderLayer(net: Network, layer: number, x: string): string {
  const { hidden, heads, kvHeads, headDim, ffn, dtype } = net.spec;
  const name = (part: string) => `layers.${layer}.${part}`;
  const past = ['key', 'value'].map((part) => `past_key_values.${layer}.${part}`);
  const present = ['key', 'value'].map((part) => `present.${layer}.${part}`);
  for (const tensor of past) net.input(tensor, dtype, ['batch_size', kvHeads, 'past_sequence_length', headDim]);
  for (const tensor of present) net.output(tensor, dtype, ['batch_size', kvHeads, 'total_sequence_length', headDim]);

  const normed = net.normalise(x, name('attention_norm'));
  const module = (path: string) => `model.layers.${layer}.${path}`;
  const qkv = [
    net.adapted(normed, name('q'), module('self_attn.q_proj'), [hidden, heads * headDim], SHARP_ATTENTION),
    net.adapted(normed, name('k'), module('self_attn.k_proj'), [hidden, kvHeads * headDim], SHARP_ATTENTION),
    net.adapted(normed, name('v'), module('self_attn.v_proj'), [hidden, kvHeads * headDim]),
  ];
  const attend = net.spec.attention === 'gqa' ? groupQueryAttention : concatAttention;
  const attention = attend(net, name('attention'), qkv, past, present);
  const output = net.adapted(attention, name('o'), module('self_attn.o_proj'), [heads * headDim, hidden]);
  const attended = net.node('Add', [x, output], name('attended'));

  const normed2 = net.normalise(attended, name('ffn_norm'));
  const gate = net.adapted(normed2, name('gate'), module('mlp.gate_proj'), [hidden, ffn]);
  const up = net.adapted(normed2, name('up'), module('mlp.up_proj'), [hidden, ffn]);
  const silu = net.node('Mul', [gate, net.node('Sigmoid', [gate], name('sigmoid'))], name('silu'));
  const inner = net.node('Mul', [silu, up], name('ffn'));
  const down = net.adapted(inner, name('down'), module('mlp.down_proj'), [ffn, hidden]);
  return net.node('Add', [attended, down], name('out'));
}

/** Adds the length inputs of GroupQueryAttention: the position of each row's last token, and the length of the longest row. */
export function sharedByGroupQueryLayers(net: Network): void {
  const one = net.integers('one', 1n);
  const sum = net.node('ReduceSum', ['attention_mask', net.integers('axis1', [1n])], 'mask_sum', {
    attributes: { keepdims: 0n },
  });
  const int32 = { attributes: { to: BigInt(onnxNumber('int32')) } };
  net.node('Cast', [net.node('Sub', [sum, one], 'last')], 'seqlens_k', int32);
  const shape = net.node('Shape', ['attention_mask'], 'mask_shape');
  net.node('Cast', [net.node('Gather', [shape, one], 'total64', { attributes: { axis: 0n } })], 'total', int32);
}

function groupQueryAttention(
  net: Network,
  name: string,
  qkv: readonly string[],
  past: readonly string[],
  present: readonly string[],
): string {
  const { heads, kvHeads, headDim } = net.spec;
  const inputs = [...qkv, ...past, 'seqlens_k', 'total', 'rotary.cos', 'rotary.sin'];
  return net.node('GroupQueryAttention', inputs, [name, ...present], {
    domain: 'com.microsoft',
    attributes: { num_heads: BigInt(heads), kv_num_heads: BigInt(kvHeads), do_rotary: 1n, scale: headDim ** -0.5 },
  });
}

/** Adds the head. The end token's logit is always 0, so that a random model does not end by chance. */
function head(net: Network, x: string): void {
  const { hidden, vocab, dtype } = net.spec;
  const first = net.integers('first_axis', [1n]);
  const last = net.integers('last_position', [2n ** 63n - 1n]);
  const starts = net.node('Reshape', [net.node('Neg', [LOGITS_TO_KEEP], 'logits_start'), first], 'logits_starts');
  const kept = net.node('Slice', [net.normalise(x, 'norm'), starts, last, first], 'kept');
  const weight = net.random('head.weight', hidden, vocab, 1 / Math.sqrt(hidden), vocab - 1);
  if (dtype === 'float32') net.node('MatMul', [kept, weight], 'logits');
  else net.node('Cast', [net.node('MatMul', [kept, weight], 'head')], 'logits', { attributes: { to: 1n } });
}
