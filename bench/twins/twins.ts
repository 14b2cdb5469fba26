import type { Twin } from './twin.js';

/** The families whose graphs are compared, each as its exporter writes it. */

const SIZES = {
  ...{ layers: 2, hidden: 64, heads: 4, kvHeads: 2, headDim: 16, ffn: 128, vocab: 512 },
  ...{ contextTokens: 1024, seed: 1 },
} as const;

/** Llama's structure. The other families are described by what differs. */
const LLAMA = {
  ...SIZES,
  ...{ architecture: 'Llama', exporter: 'genai builder', attention: 'gqa', dtype: 'float32', weights: 'float' },
  ...{ norm: 'rms', positions: { kind: 'rotary' }, block: 'serial', ffnKind: 'gated', head: 'own' },
  ...{ paddedLogits: 0, normalisedHeads: false, windowTokens: 0, scoreCap: 0, logitCap: 0 },
  ...{ kvHeadsOfLayers: null, valueDim: null, kvType: 'float', mixers: null, otherInputs: [] },
  config: {
    ...{ model_type: 'llama', hidden_size: SIZES.hidden, num_hidden_layers: SIZES.layers },
    ...{ num_attention_heads: SIZES.heads, num_key_value_heads: SIZES.kvHeads, head_dim: SIZES.headDim },
    ...{ max_position_embeddings: SIZES.contextTokens, vocab_size: SIZES.vocab },
  },
} as const satisfies Twin;

const OPTIMUM = { ...LLAMA, exporter: 'optimum', attention: 'concat' } as const satisfies Twin;

const GPT2 = {
  ...OPTIMUM,
  ...{ architecture: 'GPT-2', kvHeads: 4, norm: 'layer', ffnKind: 'gelu', head: 'tied' },
  positions: { kind: 'learned' },
  config: {
    ...{ model_type: 'gpt2', n_embd: SIZES.hidden, n_layer: SIZES.layers, n_head: SIZES.heads },
    ...{ n_positions: SIZES.contextTokens, vocab_size: SIZES.vocab },
  },
} as const satisfies Twin;

/** Fields that a config.json of a model with several parts keeps under `text_config`. */
const GEMMA_CONFIG = {
  model_type: 'gemma3',
  text_config: { ...LLAMA.config, model_type: 'gemma3_text', sliding_window: 48 },
} as const;

/** Graphs that must be served. */
export const TWINS: readonly Twin[] = [
  LLAMA,
  OPTIMUM,
  { ...LLAMA, dtype: 'float16' },
  { ...OPTIMUM, dtype: 'float16' },
  { ...LLAMA, weights: 'q4' },
  { ...OPTIMUM, weights: 'q8' },
  GPT2,
  {
    ...GPT2,
    ...{ architecture: 'OPT (positions from the mask)', positions: { kind: 'counted' } },
    config: { ...LLAMA.config, model_type: 'opt' },
  },
  {
    ...GPT2,
    architecture: 'GPT-Neo',
    windowTokens: 48,
    config: {
      ...{ model_type: 'gpt_neo', hidden_size: SIZES.hidden, num_layers: SIZES.layers, num_heads: SIZES.heads },
      ...{ max_position_embeddings: SIZES.contextTokens, vocab_size: SIZES.vocab },
    },
  },
  {
    ...GPT2,
    ...{ architecture: 'GPT-BigCode (multi-query)', kvHeads: 1 },
    config: { ...GPT2.config, model_type: 'gpt_bigcode', multi_query: true },
  },
  {
    ...GPT2,
    ...{ architecture: 'BLOOM', positions: { kind: 'alibi' } },
    config: {
      ...{ model_type: 'bloom', hidden_size: SIZES.hidden, n_layer: SIZES.layers, n_head: SIZES.heads },
      ...{ seq_length: SIZES.contextTokens, vocab_size: SIZES.vocab },
    },
  },
  {
    ...OPTIMUM,
    ...{ architecture: 'Falcon (multi-query)', kvHeads: 1, norm: 'layer', block: 'parallel', ffnKind: 'gelu' },
    config: {
      ...{ model_type: 'falcon', hidden_size: SIZES.hidden, num_hidden_layers: SIZES.layers, multi_query: true },
      ...{ num_attention_heads: SIZES.heads, vocab_size: SIZES.vocab, max_position_embeddings: SIZES.contextTokens },
    },
  },
  {
    ...LLAMA,
    ...{ architecture: 'Gemma (window, caps)', windowTokens: 48, scoreCap: 20, logitCap: 30, head: 'tied' },
    config: GEMMA_CONFIG,
  },
  {
    ...OPTIMUM,
    ...{ architecture: 'Gemma (window, caps)', windowTokens: 48, scoreCap: 20, logitCap: 30, head: 'tied' },
    config: GEMMA_CONFIG,
  },
  {
    ...LLAMA,
    ...{ architecture: 'Qwen3 (head norms)', normalisedHeads: true, head: 'tied' },
    config: { ...LLAMA.config, model_type: 'qwen3' },
  },
  {
    ...OPTIMUM,
    ...{ architecture: 'Qwen3 (padded logits)', normalisedHeads: true, paddedLogits: 64 },
    config: { ...LLAMA.config, model_type: 'qwen3', vocab_size: SIZES.vocab + 64 },
  },
  {
    ...LLAMA,
    ...{ architecture: 'Phi-3 (LongRoPE)', positions: { kind: 'longrope', borderTokens: 96 } },
    config: { ...LLAMA.config, model_type: 'phi3' },
  },
  {
    ...OPTIMUM,
    ...{ architecture: 'DeepSeek-V3 (V smaller than K)', kvHeads: 4, headDim: 24, valueDim: 16 },
    config: { ...LLAMA.config, model_type: 'deepseek_v3', num_key_value_heads: SIZES.heads },
  },
  {
    ...OPTIMUM,
    ...{ architecture: 'OpenELM (heads by layer)', kvHeadsOfLayers: [1, 2] },
    config: {
      ...{ model_type: 'openelm', model_dim: SIZES.hidden, num_transformer_layers: SIZES.layers },
      ...{ num_kv_heads: [1, 2], max_context_length: SIZES.contextTokens, vocab_size: SIZES.vocab },
    },
  },
  ...(['int8', 'uint8', 'float8e4m3fn', 'float8e5m2'] as const).map((kvType) => ({
    ...OPTIMUM,
    ...{ architecture: 'Llama, quantized K/V', kvType },
  })),
  {
    ...OPTIMUM,
    ...{ architecture: 'LFM2 (convolutions)', layers: 3, mixers: ['convolution', 'attention', 'convolution'] },
    config: { ...LLAMA.config, model_type: 'lfm2', num_hidden_layers: 3 },
  },
  {
    ...LLAMA,
    ...{ architecture: 'LFM2 (convolutions)', layers: 3, mixers: ['convolution', 'attention', 'convolution'] },
    config: { ...LLAMA.config, model_type: 'lfm2', num_hidden_layers: 3 },
  },
  {
    ...LLAMA,
    ...{ architecture: 'Qwen3-Next (linear attention)', layers: 3, mixers: ['linear', 'linear', 'attention'] },
    config: { ...LLAMA.config, model_type: 'qwen3_next', num_hidden_layers: 3 },
  },
];

/** Graphs that must be refused, with the words that the refusal must have. */
export const REFUSED_TWINS: readonly { readonly twin: Twin; readonly words: RegExp }[] = [
  {
    twin: { ...OPTIMUM, architecture: 'Mamba (states alone)', mixers: ['convolution', 'convolution'] },
    words: /its layers have states and none has K\/V/,
  },
  {
    twin: { ...OPTIMUM, architecture: 'a model with images', otherInputs: ['pixel_values'] },
    words: /"pixel_values": .*sees or hears.*use a text model/,
  },
];
