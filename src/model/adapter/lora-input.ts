import type { FloatType } from '../../core/kv-layout.js';
import { onnxNumber } from '../../ort/element-type.js';
import type { Graph } from '../onnx/graph.js';

/**
 * The inputs of a graph that take the parameters of an adapter. Olive and ONNX Runtime's model builder name them like the weights of PEFT, such as
 * `model.layers.0.self_attn.q_proj.lora_A.weight`. Each has an empty default, with which the graph computes the base model.
 */

/** An adapter adds `x A B` to a module's output, with `A` `[in, rank]` and `B` `[rank, out]`. */
export interface LoraInput {
  readonly name: string;
  /** The module it belongs to, as `loraModule` names it. */
  readonly module: string;
  readonly side: 'A' | 'B';
  readonly elementType: FloatType;
  /** A string is a symbolic size, null an unknown one. */
  readonly dims: readonly (number | string | null)[];
}

const LORA_NAME = /^(.+?)[./]lora_([AB])([./]|$)/;
const FLOATS: readonly FloatType[] = ['float32', 'float16', 'bfloat16'];

/** The inputs of a graph for adapters; empty if it has none. */
export function loraInputs({ optionalInputs }: Pick<Graph, 'optionalInputs'>): LoraInput[] {
  return optionalInputs.flatMap(({ name, elementCode, dims }) => {
    const named = loraName(name);
    const elementType = FLOATS.find((type) => onnxNumber(type) === elementCode);
    if (named === null || elementType === undefined || dims.length !== 2) return [];
    return [{ name, ...named, elementType, dims }];
  });
}

/** The module and side that a parameter's name says; null if it names none. */
export function loraName(name: string): Pick<LoraInput, 'module' | 'side'> | null {
  const match = LORA_NAME.exec(name);
  return match === null ? null : { module: loraModule(match[1]!), side: match[2] as 'A' | 'B' };
}

/** A module's name without what differs between trainers and exporters: wrappers before its layer, and the short name of attention. */
function loraModule(path: string): string {
  const dotted = path.replaceAll('/', '.');
  const layer = /(?:^|\.)((?:layers|h|blocks)\.\d+\..*)$/.exec(dotted);
  return (layer?.[1] ?? dotted.replace(/^base_model\.model\./, '')).replace(/\.attn\./, '.self_attn.');
}

/** Whether a tensor of this shape may take the place of the input. */
export function fitsInput(dims: readonly number[], { dims: wanted }: Pick<LoraInput, 'dims'>): boolean {
  return dims.length === wanted.length && dims.every((dim, i) => typeof wanted[i] !== 'number' || wanted[i] === dim);
}

/** A shape, for people. */
export function shapeText(dims: readonly (number | string | null)[]): string {
  return `[${dims.map((dim) => dim ?? '?').join(', ')}]`;
}
