import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAdapter } from '../../src/model/adapter/adapter-file.js';
import { type LoraInput, loraName } from '../../src/model/adapter/lora-input.js';
import { convertPeft } from '../../src/model/adapter/peft.js';
import { type NamedTensor, writeSafetensors } from '../../src/model/adapter/safetensors.js';
import type { Network } from './network.js';
import { normal } from './weights.js';

/** Creates adapters with random weights for a synthetic model. */

/** The adapters of a synthetic model. @internal exported for tests. */
export const SYNTH_ADAPTERS = ['tuned-a', 'tuned-b'] as const;
/** PEFT's factor is alpha / rank; this alpha gives 2. */
const ALPHA_PER_RANK = 2;
/** Large enough that the adapters' answers differ from each other and from the base model's. */
const GAIN = 0.5;

/** Writes each adapter to `adapters/NAME.onnx_adapter`, and as PEFT has it to `peft/NAME`. */
export async function writeSynthAdapters(network: Network, outDir: string): Promise<void> {
  const { spec } = network;
  const rank = spec.loraRank;
  if (rank === undefined) return;
  const inputs = network.weights.flatMap(({ name, dims }): LoraInput[] => {
    const named = loraName(name);
    return named === null ? [] : [{ name, ...named, elementType: spec.dtype, dims: dims.map((dim) => dim || null) }];
  });
  const alpha = ALPHA_PER_RANK * rank;
  await mkdir(join(outDir, 'adapters'), { recursive: true });
  for (const adapter of SYNTH_ADAPTERS) {
    const tensors = inputs.map((input) => randomTensor(input, adapter, rank, spec.seed));
    const folder = join(outDir, 'peft', adapter);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'adapter_model.safetensors'), Buffer.concat(writeSafetensors(tensors)));
    await writeFile(
      join(folder, 'adapter_config.json'),
      `${JSON.stringify(peftConfig(inputs, rank, alpha), null, 2)}\n`,
    );
    const parameters = convertPeft(tensors, { alpha, byRoot: false }, inputs);
    await writeFile(join(outDir, 'adapters', `${adapter}.onnx_adapter`), Buffer.concat(writeAdapter(parameters)));
  }
}

function peftConfig(inputs: readonly LoraInput[], rank: number, alpha: number): object {
  const modules = new Set(inputs.map(({ module }) => module.split('.').at(-1)!));
  return {
    ...{ peft_type: 'LORA', task_type: 'CAUSAL_LM', r: rank, lora_alpha: alpha, lora_dropout: 0, bias: 'none' },
    target_modules: [...modules],
  };
}

function randomTensor({ name, side, dims }: LoraInput, adapter: string, rank: number, seed: number): NamedTensor {
  const size = dims.find((dim) => typeof dim === 'number') as number;
  const deviation = side === 'A' ? 1 / Math.sqrt(size) : GAIN / (ALPHA_PER_RANK * Math.sqrt(rank));
  const elements = new Float32Array(size * rank);
  normal({ seed, name: `${adapter}/${name}`, deviation, type: 'float32' })(elements, 0);
  return {
    name: `base_model.model.${name}`,
    elementType: 'float32',
    dims: side === 'A' ? [rank, size] : [size, rank],
    data: new Uint8Array(elements.buffer),
  };
}
