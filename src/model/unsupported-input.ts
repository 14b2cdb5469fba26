/** Why graphs with certain inputs cannot be run, by the names that exporters give these inputs. */

interface Unsupported {
  readonly input: RegExp;
  /** The kind of model, and what to do. */
  readonly reason: string;
}

const SEES = 'a model that also sees or hears is not supported; use a text model';

const UNSUPPORTED: readonly Unsupported[] = [
  {
    input: /^past_(conv|recurrent|ssm|mamba|linear)|^cache_params\.|(^|[._])(conv|ssm|recurrent)(_states?)?($|\.)/,
    reason:
      'the state of a convolution, state-space or linear-attention layer has an unknown name; known are past_conv.N, past_ssm.N, past_recurrent.N, past.N.conv and the like, and past_key_values.N.conv_state and the like',
  },
  {
    input: /^past_key_values\.\d+\.(decoder|encoder)\.|^encoder_|^decoder_/,
    reason: 'an encoder-decoder model (T5, BART, Whisper) is not supported; use a decoder-only model',
  },
  {
    input: /^past_key_values\.\d+\.key_value$/,
    reason:
      'K and V are one tensor, as exporters wrote GPT-BigCode before transformers 4.54; export it with a newer version',
  },
  { input: /^(pixel_|image_|input_features|audio_|input_values|cross_attention)/, reason: SEES },
  {
    input: /^(inputs_embeds|per_layer_inputs)$/,
    reason: `the graph takes embeddings instead of token ids, because ${SEES}`,
  },
  {
    input: /^use_cache_branch$/,
    reason:
      'a merged graph with one branch for each phase is not supported; export it with past K/V and without merging',
  },
  {
    input: /[./]lora_[AB]([./]|$)/,
    reason:
      'the parameters of an adapter have no default, without which nothing runs as the base model; export the model with optional inputs for adapters',
  },
  {
    input: /^token_type_ids$/,
    reason: 'attention depends on the kinds of tokens, which prompts of text do not have; use a decoder-only model',
  },
];

/** Why a graph with this input cannot be run; null if the name does not show why. */
export function whyUnsupported(input: string): string | null {
  return UNSUPPORTED.find((kind) => kind.input.test(input))?.reason ?? null;
}
