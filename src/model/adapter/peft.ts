import { z } from 'zod';
import type { FloatType } from '../../core/kv-layout.js';
import { widenBfloat16, widenFloat16 } from '../../core/sampling/half.js';
import { Refused } from '../../errors.js';
import { faultWords } from '../../fault-words.js';
import { float16Bits } from '../float16.js';
import type { AdapterParameter } from './adapter-file.js';
import { type LoraInput, loraName, shapeText } from './lora-input.js';
import type { NamedTensor } from './safetensors.js';

/**
 * Converts adapters of PEFT (https://huggingface.co/docs/peft) for the inputs of a graph. PEFT has `lora_A` `[rank, in]` and `lora_B` `[out, rank]`, and
 * multiplies by a factor; the graph's inputs are transposed, and have the factor in `B`.
 */

const PeftConfig = z.object({
  peft_type: z.string(),
  lora_alpha: z.number(),
  use_rslora: z.boolean().nullish(),
  use_dora: z.boolean().nullish(),
  bias: z.string().nullish(),
  alpha_pattern: z.record(z.string(), z.unknown()).nullish(),
  modules_to_save: z.array(z.string()).nullish(),
  fan_in_fan_out: z.boolean().nullish(),
});

/** The part of `adapter_config.json` that the conversion needs. */
export interface PeftScale {
  readonly alpha: number;
  /** The factor is alpha / sqrt(rank), instead of alpha / rank. */
  readonly byRoot: boolean;
}

/**
 * Checks the content of `adapter_config.json`.
 * @throws Refused naming the field that no graph can honour
 */
export function peftScale(json: unknown): PeftScale {
  const parsed = PeftConfig.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Refused(`adapter_config.json: ${issue!.path.join('.') || 'the file'}: ${faultWords(issue!)}`);
  }
  const config = parsed.data;
  const refuse = (field: string, why: string): never => {
    throw new Refused(`adapter_config.json: ${field}: ${why}; merge the adapter into a model of its own instead`);
  };
  if (config.peft_type !== 'LORA') refuse('peft_type', `is ${config.peft_type}; only LORA adapters can be converted`);
  if (config.use_dora) refuse('use_dora', 'the graph has no inputs for the magnitudes of DoRA');
  if ((config.bias ?? 'none') !== 'none') refuse('bias', 'the graph has no inputs for trained biases');
  if ((config.modules_to_save ?? []).length > 0) refuse('modules_to_save', 'the graph has no inputs for whole modules');
  if (Object.keys(config.alpha_pattern ?? {}).length > 0)
    refuse('alpha_pattern', 'one alpha for all modules is needed');
  if (config.fan_in_fan_out) refuse('fan_in_fan_out', 'transposed weights are not supported');
  return { alpha: config.lora_alpha, byRoot: config.use_rslora ?? false };
}

/**
 * The parameters for a graph's inputs.
 * @throws Refused naming the tensor that no input takes
 */
export function convertPeft(
  tensors: readonly NamedTensor[],
  { alpha, byRoot }: PeftScale,
  inputs: readonly LoraInput[],
): AdapterParameter[] {
  const byPlace = new Map(inputs.map((input) => [`${input.module} ${input.side}`, input]));
  const parameters = tensors.map((tensor) => {
    const { name, dims } = tensor;
    const named = loraName(name);
    if (named === null || dims.length !== 2)
      throw new Refused(`the tensor "${name}" ${shapeText(dims)} is not a lora_A or lora_B of a linear module`);
    const input = byPlace.get(`${named.module} ${named.side}`);
    if (input === undefined) throw new Refused(missingInput(named.module, named.side, inputs));
    const rank = dims[named.side === 'A' ? 0 : 1]!;
    const scale = named.side === 'A' ? 1 : alpha / (byRoot ? Math.sqrt(rank) : rank);
    const elements = transposed(widened(tensor), dims[0]!, dims[1]!, scale);
    const { name: inputName, elementType } = input;
    return { name: inputName, elementType, dims: [dims[1]!, dims[0]!], data: narrowed(elements, elementType) };
  });
  return parameters.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function missingInput(module: string, side: string, inputs: readonly LoraInput[]): string {
  const modules = [...new Set(inputs.map((input) => input.module.replace(/^\w+\.\d+\./, '')))];
  return `the graph has no input for lora_${side} of ${module}; it takes adapters of the modules ${modules.join(', ')}; export the model with those of this adapter`;
}

function widened({ elementType, data }: NamedTensor): Float32Array {
  // A copy, because the data may lie at an odd byte of the file.
  const { buffer } = Uint8Array.from(data);
  if (elementType === 'float32') return new Float32Array(buffer);
  const halves = new Uint16Array(buffer);
  const into = new Float32Array(halves.length);
  (elementType === 'float16' ? widenFloat16 : widenBfloat16)(halves, into);
  return into;
}

function transposed(from: Float32Array, rows: number, columns: number, scale: number): Float32Array {
  const into = new Float32Array(from.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) into[column * rows + row] = scale * from[row * columns + column]!;
  }
  return into;
}

function narrowed(from: Float32Array, elementType: FloatType): Uint8Array {
  if (elementType === 'float32') return new Uint8Array(from.buffer);
  const narrow = elementType === 'float16' ? float16Bits : bfloat16Bits;
  return new Uint8Array(Uint16Array.from(from, narrow).buffer);
}

const word = new Float32Array(1);
const bits = new Uint32Array(word.buffer);

/** The upper half of a float32, rounded to nearest, ties to even. */
function bfloat16Bits(value: number): number {
  word[0] = value;
  if (Number.isNaN(value)) return 0x7fc0;
  return (bits[0]! + 0x7fff + ((bits[0]! >>> 16) & 1)) >>> 16;
}
