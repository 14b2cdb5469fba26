import { type Command, type OptionTable, option } from './option.js';
import * as types from './option-types.js';

const SYNTH = ['model synth'] as const satisfies readonly Command[];

function size(flag: string, help: string, max: number) {
  return option({
    flag,
    variable: `SHOAL_SYNTH_${flag.toUpperCase().replaceAll('-', '_')}`,
    placeholder: 'N',
    type: types.wholeNumber(1, max),
    default: null,
    defaultNote: 'from the preset',
    commands: SYNTH,
    help,
  });
}

/** The options of `shoal model synth`. An option wins over the value from the preset. */
export const SYNTH_OPTIONS = {
  preset: option({
    flag: 'preset',
    variable: 'SHOAL_SYNTH_PRESET',
    placeholder: 'NAME',
    type: types.choice('tiny', 'bench-90m'),
    default: 'tiny',
    commands: SYNTH,
    help: 'Shape of the model: tiny or bench-90m. Other options change parts of it.',
  }),
  layers: size('layers', 'Number of layers.', 256),
  hidden: size('hidden', 'Width of the hidden state.', 32_768),
  heads: size('heads', 'Number of query heads.', 256),
  kvHeads: size('kv-heads', 'Number of K/V heads. It must divide the number of query heads.', 256),
  headDim: size('head-dim', 'Width of a head. It must be even.', 512),
  ffn: size('ffn', 'Width of the feed-forward layers.', 262_144),
  vocab: size('vocab', 'Number of tokens in the vocabulary.', 262_144),
  context: size('context', 'Longest sequence, in tokens.', 1_048_576),
  dtype: option({
    flag: 'dtype',
    variable: 'SHOAL_SYNTH_DTYPE',
    placeholder: 'TYPE',
    type: types.choice('float32', 'float16'),
    default: null,
    defaultNote: 'from the preset',
    commands: SYNTH,
    help: 'Element type of weights and K/V: float32 or float16.',
  }),
  attention: option({
    flag: 'attention',
    variable: 'SHOAL_SYNTH_ATTENTION',
    placeholder: 'KIND',
    type: types.choice('gqa', 'concat'),
    default: null,
    defaultNote: 'from the preset',
    commands: SYNTH,
    help: 'Attention: gqa appends K/V in place; concat joins past and new K/V in the graph.',
  }),
  lora: option({
    flag: 'lora',
    variable: 'SHOAL_SYNTH_LORA',
    placeholder: 'RANK',
    type: types.wholeNumber(1, 1_024),
    default: null,
    defaultNote: 'no adapters',
    commands: SYNTH,
    help: 'Make a graph that takes LoRA adapters, and two adapters of this rank, each also as PEFT writes them.',
  }),
  seed: option({
    flag: 'seed',
    variable: 'SHOAL_SYNTH_SEED',
    placeholder: 'N',
    type: types.wholeNumber(0, Number.MAX_SAFE_INTEGER),
    default: null,
    defaultNote: 'from the preset',
    commands: SYNTH,
    help: 'Seed of the weights. The same seed and shape give the same bytes.',
  }),
  out: option({
    flag: 'out',
    variable: 'SHOAL_SYNTH_OUT',
    placeholder: 'DIR',
    type: types.path,
    default: null,
    commands: SYNTH,
    help: 'Folder to write to. Required.',
  }),
} as const satisfies OptionTable;
