import { z } from 'zod';
import { Refused } from '../errors.js';

/** The shape of a decoder, from its config.json. */
export interface ModelConfig {
  readonly modelType: string;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** The maximum number of tokens of prompt and answer together. */
  readonly contextTokens: number;
  /** Token ids are less than this. */
  readonly vocabSize: number;
}

const size = z.int().min(1);

const ConfigFile = z.looseObject({
  model_type: z.string().default('unknown'),
  hidden_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  max_position_embeddings: size,
  vocab_size: size,
});

/**
 * Checks the contents of a config.json. Unknown fields are ignored.
 * @param path for error messages
 * @throws Refused naming the field
 */
export function parseConfig(json: unknown, path: string): ModelConfig {
  const parsed = ConfigFile.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Refused(
      `cannot read ${path}: ${issue?.path.join('.')}: ${issue?.message}; the file must describe a decoder-only language model`,
    );
  }
  const file = parsed.data;
  return {
    modelType: file.model_type,
    hiddenSize: file.hidden_size,
    layers: file.num_hidden_layers,
    heads: file.num_attention_heads,
    kvHeads: file.num_key_value_heads ?? file.num_attention_heads,
    headDim: file.head_dim ?? Math.floor(file.hidden_size / file.num_attention_heads),
    contextTokens: file.max_position_embeddings,
    vocabSize: file.vocab_size,
  };
}
