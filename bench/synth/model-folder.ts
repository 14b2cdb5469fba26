import { createHash } from 'node:crypto';
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeSynthAdapters } from './adapters.js';
import { writeModelFile } from './model-file.js';
import { buildNetwork, RMS_NORM_EPSILON, ROPE_THETA } from './network.js';
import { parseSynthSpec, SYNTH_PRESETS, type SynthPreset, type SynthSpec } from './spec.js';
import { CHAT_TEMPLATE, END_TOKEN, synthTokenizer } from './vocabulary.js';

/** Creates model folders with random weights. */

/** Must change when the bytes that a spec produces change, so that cached models of an older version are not used. */
const FORMAT = 1;

/**
 * Creates the folder of a Llama-shaped model with `num_logits_to_keep`, random weights whose scale keeps activations stable, a byte-level
 * vocabulary and a chat template, and adapters if the spec has a rank of them. The same spec produces the same bytes on every machine.
 * @param outDir created if missing; existing model files are overwritten
 * @throws InvalidRequest if the spec is invalid
 */
export async function synthesize(
  spec: SynthSpec,
  outDir: string,
  options: { inlineBytes?: number } = {},
): Promise<void> {
  const checked = parseSynthSpec(spec);
  await mkdir(join(outDir, 'onnx'), { recursive: true });
  const network = buildNetwork(checked);
  await writeModelFile(network, join(outDir, 'onnx', 'model.onnx'), options.inlineBytes);
  await writeSynthAdapters(network, outDir);
  for (const [name, value] of Object.entries(descriptions(checked))) {
    await writeFile(join(outDir, name), `${JSON.stringify(value, null, name === 'tokenizer.json' ? 0 : 2)}\n`);
  }
}

function descriptions(spec: SynthSpec): Record<string, unknown> {
  const end = spec.vocab - 1;
  return {
    'config.json': {
      architectures: ['LlamaForCausalLM'],
      model_type: 'llama',
      hidden_size: spec.hidden,
      intermediate_size: spec.ffn,
      num_hidden_layers: spec.layers,
      num_attention_heads: spec.heads,
      num_key_value_heads: spec.kvHeads,
      head_dim: spec.headDim,
      max_position_embeddings: spec.contextTokens,
      rms_norm_eps: RMS_NORM_EPSILON,
      rope_theta: ROPE_THETA,
      hidden_act: 'silu',
      vocab_size: spec.vocab,
      bos_token_id: null,
      eos_token_id: end,
      tie_word_embeddings: false,
      torch_dtype: spec.dtype,
    },
    'generation_config.json': { eos_token_id: end, do_sample: false },
    'tokenizer.json': synthTokenizer(spec.vocab),
    'tokenizer_config.json': {
      tokenizer_class: 'PreTrainedTokenizerFast',
      model_max_length: spec.contextTokens,
      clean_up_tokenization_spaces: false,
      eos_token: END_TOKEN,
      bos_token: null,
      chat_template: CHAT_TEMPLATE,
    },
  };
}

/**
 * The folder of a preset's model within a cache folder, created if missing. Safe for concurrent use by several processes.
 * @returns the folder's path, whose last component is the preset's name
 */
export async function synthModelFolder(preset: SynthPreset, cacheDir: string): Promise<string> {
  const spec = SYNTH_PRESETS[preset];
  const identity = createHash('sha256')
    .update(JSON.stringify([FORMAT, spec]))
    .digest('hex')
    .slice(0, 16);
  const home = join(cacheDir, `synth-${identity}`);
  const folder = join(home, preset);
  if (await exists(folder)) return folder;
  await mkdir(cacheDir, { recursive: true });
  const draft = await mkdtemp(`${home}-`);
  try {
    await synthesize(spec, join(draft, preset));
    await rename(draft, home).catch(async (error: unknown) => {
      if (!(await exists(folder))) throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return folder;
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
