import type { SynthSpec } from '../synth/spec.js';

/** The differences between the decoder families' graphs, as exporters write them. */

/**
 * A small graph with random weights and the structure of a family. `attention` is `concat` in optimum's style: standard operators, with
 * `position_ids`, K/V joined by Concat; and `gqa` in the style of onnxruntime-genai's model builder: GroupQueryAttention, which appends in place.
 */
export interface Twin extends SynthSpec {
  readonly architecture: string;
  readonly exporter: 'optimum' | 'genai builder';
  /** `q4` is MatMulNBits; `q8` is dynamic quantization. */
  readonly weights: 'float' | 'q4' | 'q8';
  readonly norm: 'rms' | 'layer';
  readonly positions: Positions;
  /** Whether attention and feed-forward network read the same input. */
  readonly block: 'serial' | 'parallel';
  readonly ffnKind: 'gated' | 'gelu';
  readonly head: 'own' | 'tied';
  /** Logits beyond the vocabulary, which have no token. */
  readonly paddedLogits: number;
  /** Whether queries and keys are normalised, each head by itself. */
  readonly normalisedHeads: boolean;
  /** The number of tokens that every second layer sees; 0 for all. */
  readonly windowTokens: number;
  /** The bound of the scores of attention, and of the logits; 0 for none. */
  readonly scoreCap: number;
  readonly logitCap: number;
  /** The number of K/V heads of each layer, if they differ. */
  readonly kvHeadsOfLayers: readonly number[] | null;
  /** The size of V's heads if K's have another. */
  readonly valueDim: number | null;
  /** `float` is the model's type. */
  readonly kvType: 'float' | 'int8' | 'uint8' | 'float8e4m3fn' | 'float8e5m2';
  /** The kind of each layer; null if all have attention. */
  readonly mixers: readonly Mixer[] | null;
  /** Inputs of other parts of the model. */
  readonly otherInputs: readonly string[];
  /** The contents of config.json, in the family's spelling. */
  readonly config: Readonly<Record<string, unknown>>;
}

type Positions =
  | { readonly kind: 'rotary' }
  /** Sequences of more than `borderTokens` tokens have another table. */
  | { readonly kind: 'longrope'; readonly borderTokens: number }
  /** A table of embeddings (GPT-2). */
  | { readonly kind: 'learned' }
  /** The same, by positions that the graph counts in the mask (OPT). */
  | { readonly kind: 'counted' }
  /** A slope over the distance in the scores (BLOOM). */
  | { readonly kind: 'alibi' };

/** How a layer mixes tokens: by attention, which keeps K/V, or by a convolution (LFM2) or linear attention (Qwen3-Next), which keep a state; a forgetful one begins anew in
 * each run. */
export type Mixer = 'attention' | 'convolution' | 'forgetful convolution' | 'linear';

export function layerMixer({ mixers }: Twin, layer: number): Mixer {
  return mixers?.[layer] ?? 'attention';
}

/** The K/V heads of a layer. */
export function layerHeads(twin: Twin, layer: number): { kvHeads: number; keyDim: number; valueDim: number } {
  const { kvHeads, headDim, kvHeadsOfLayers, valueDim } = twin;
  return { kvHeads: kvHeadsOfLayers?.[layer] ?? kvHeads, keyDim: headDim, valueDim: valueDim ?? headDim };
}

/**
 * The names of a layer's state before and after a run, in the style of the twin's exporter.
 * @param kind `conv` for the last inputs of a convolution, `recurrent` for sums
 */
export function stateNames({ attention }: Twin, layer: number, kind: 'conv' | 'recurrent'): [string, string] {
  if (attention === 'gqa') return [`past.${layer}.${kind}`, `present.${layer}.${kind}`];
  return [`past_${kind}.${layer}`, `present_${kind}.${layer}`];
}
