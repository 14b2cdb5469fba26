import { z } from 'zod';
import { Refused } from '../errors.js';
import { faultWords } from '../fault-words.js';

/**
 * Reads genai_config.json, which onnxruntime-genai's model builder writes instead of config.json and generation_config.json:
 * https://onnxruntime.ai/docs/genai/reference/config.html.
 */
export interface GenaiConfig {
  /** The file of the graph, in the folder of genai_config.json. */
  readonly graph: string;
  /** The same facts as config.json would state. */
  readonly config: Record<string, unknown>;
  /** The same facts as generation_config.json would state. */
  readonly generation: Record<string, unknown>;
}

const size = z.int().min(1);
const GenaiFile = z.looseObject({
  model: z.looseObject({
    type: z.string().default('unknown'),
    context_length: size,
    vocab_size: size,
    bos_token_id: z.unknown().optional(),
    eos_token_id: z.unknown().optional(),
    pad_token_id: z.unknown().optional(),
    decoder: z.looseObject({
      filename: z.string().default('model.onnx'),
      head_size: size,
      hidden_size: size,
      num_attention_heads: size,
      num_hidden_layers: size,
      num_key_value_heads: size,
    }),
  }),
  search: z
    .looseObject({
      do_sample: z.unknown().optional(),
      temperature: z.unknown().optional(),
      top_k: z.unknown().optional(),
      top_p: z.unknown().optional(),
      repetition_penalty: z.unknown().optional(),
    })
    .default({ do_sample: false }),
});

/** @param path for error messages. @throws Refused naming the field */
export function readGenaiConfig(json: unknown, path: string): GenaiConfig {
  const parsed = GenaiFile.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Refused(
      `cannot read ${path}: ${issue!.path.join('.')}: ${faultWords(issue!)}; the file must describe a decoder-only language model`,
    );
  }
  const { model, search } = parsed.data;
  const { decoder } = model;
  const ids = { bos_token_id: model.bos_token_id, eos_token_id: model.eos_token_id, pad_token_id: model.pad_token_id };
  const config = {
    ...ids,
    model_type: model.type,
    hidden_size: decoder.hidden_size,
    num_hidden_layers: decoder.num_hidden_layers,
    num_attention_heads: decoder.num_attention_heads,
    num_key_value_heads: decoder.num_key_value_heads,
    head_dim: decoder.head_size,
    max_position_embeddings: model.context_length,
    vocab_size: model.vocab_size,
  };
  const { do_sample, temperature, top_k, top_p, repetition_penalty } = search;
  return {
    graph: decoder.filename,
    config,
    generation: { ...ids, do_sample, temperature, top_k, top_p, repetition_penalty },
  };
}
