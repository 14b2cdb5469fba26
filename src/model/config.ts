import { z } from 'zod';
import { Refused } from '../errors.js';
import { faultWords } from '../fault-words.js';

/**
 * A decoder's config.json. Families name the same sizes differently (GPT-2: `n_positions`, `n_embd`), so shapes are read from the graph, and
 * this file is asked only for what no graph states.
 */
export interface ModelConfig {
  readonly modelType: string;
  /** The maximum number of tokens of prompt and answer together. */
  readonly contextTokens: number;
  /** Token ids are less than this. */
  readonly vocabSize: number;
  /** The number of K/V heads and the size of one, for graphs that do not state them; null if the file does not either. */
  readonly kvHeads: number | null;
  readonly headDim: number | null;
  /** The number of query heads, and the widths of the hidden state and within a feed-forward network; null if the file does not state them. */
  readonly heads: number | null;
  readonly hidden: number | null;
  readonly innerWidth: number | null;
}

/** The names of one size, in the order in which they are preferred. */
const NAMES = {
  context: ['max_position_embeddings', 'n_positions', 'max_seq_len', 'seq_length', 'n_ctx', 'max_context_length'],
  vocab: ['vocab_size'],
  hidden: ['hidden_size', 'n_embd', 'd_model', 'model_dim'],
  heads: ['num_attention_heads', 'n_head', 'n_heads', 'num_heads'],
  kvHeads: ['num_key_value_heads', 'num_kv_heads', 'n_head_kv'],
  headDim: ['head_dim', 'kv_channels'],
  innerWidth: ['intermediate_size', 'n_inner', 'ffn_dim', 'ffn_hidden_size', 'inner_dim'],
} as const;

/** The context of families whose config.json need not state it, because their class in transformers has a default. */
const DEFAULT_CONTEXT_TOKENS: Readonly<Record<string, number>> = {
  bloom: 2_048,
  falcon: 2_048,
  gpt2: 1_024,
  gemma3: 131_072,
  gemma3_text: 131_072,
};

/** The part of a config.json that describes the decoder of a model which also sees or hears. */
const PARTS = ['text_config', 'llm_config', 'language_config'];

const Size = z.int().min(1);
const Fields = z.record(z.string(), z.unknown());

/**
 * Checks the contents of a config.json. Unknown fields are ignored.
 * @param path for error messages
 * @param graphVocab the number of logits that the graph states, for files without a vocabulary; null if it states none
 * @throws Refused naming the field
 */
export function parseConfig(json: unknown, path: string, graphVocab: number | null = null): ModelConfig {
  const file = decoderFields(json);
  const modelType = z.string().catch('unknown').parse(file.model_type);
  const sizeOf = (size: 'context' | 'vocab') => readSize(file, NAMES[size], path);
  const hintOf = (size: keyof typeof NAMES) => readHint(file, NAMES[size]);
  const contextTokens = sizeOf('context') ?? DEFAULT_CONTEXT_TOKENS[modelType] ?? null;
  const heads = hintOf('heads');
  const hidden = hintOf('hidden');
  return {
    modelType,
    contextTokens: contextTokens ?? missing(path, NAMES.context),
    vocabSize: sizeOf('vocab') ?? graphVocab ?? missing(path, NAMES.vocab),
    kvHeads: file.multi_query === true ? 1 : (hintOf('kvHeads') ?? heads),
    headDim: hintOf('headDim') ?? (hidden !== null && heads !== null ? Math.floor(hidden / heads) : null),
    ...{ heads, hidden, innerWidth: hintOf('innerWidth') },
  };
}

/** The fields of a config.json; the fields of its decoder section take precedence. */
export function decoderFields(json: unknown): Readonly<Record<string, unknown>> {
  const whole = Fields.catch({}).parse(json);
  const part = PARTS.map((name) => Fields.safeParse(whole[name])).find(({ success }) => success)?.data;
  return part === undefined ? whole : { ...whole, ...part };
}

/** The same for sizes that the graph states too, and that some families write in another form, such as one number per layer. */
function readHint(file: Readonly<Record<string, unknown>>, names: readonly string[]): number | null {
  return names.map((name) => Size.safeParse(file[name])).find(({ success }) => success)?.data ?? null;
}

/** The first of these fields that the file has; null if it has none. */
function readSize(file: Readonly<Record<string, unknown>>, names: readonly string[], path: string): number | null {
  const name = names.find((candidate) => file[candidate] !== undefined && file[candidate] !== null);
  if (name === undefined) return null;
  const parsed = Size.safeParse(file[name]);
  if (parsed.success) return parsed.data;
  throw new Refused(
    `cannot read ${path}: ${name}: ${faultWords(parsed.error.issues[0]!)}; the file must describe a decoder-only language model`,
  );
}

function missing(path: string, names: readonly string[]): never {
  throw new Refused(
    `cannot read ${path}: ${names.join(' or ')} is missing; the file must describe a decoder-only language model`,
  );
}
