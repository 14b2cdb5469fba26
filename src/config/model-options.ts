import { DTYPES } from '../model/graph-choice.js';
import { REASONING_PARSERS } from '../model/reasoning-format.js';
import { TOOL_CALL_PARSERS } from '../model/tool-format.js';
import { type Command, type OptionTable, option } from './option.js';
import * as types from './option-types.js';

const ROLES = ['up', 'coordinator', 'worker'] as const satisfies readonly Command[];
const ADAPTERS = ['adapter add', 'adapter list', 'adapter rm'] as const satisfies readonly Command[];
const GRAPH = [
  ...ROLES,
  'doctor',
  'model check',
  'model pull',
  'model info',
  ...ADAPTERS,
] as const satisfies readonly Command[];

/** Names of one model. */
const SERVED_NAMES = 64;

/** The options that say which model is served, and which of its graphs. */
export const MODEL_OPTIONS = {
  model: option({
    flag: 'model',
    variable: 'SHOAL_MODEL',
    placeholder: 'DIR|ID',
    type: types.path,
    default: null,
    defaultNote: 'models/recall in this package',
    commands: [...ROLES, 'doctor', ...ADAPTERS],
    help: "Folder of the model, or its id on the hub, org/name or org/name@revision, which is downloaded into the hub's cache. A folder of that name wins.",
  }),
  dtype: option({
    flag: 'dtype',
    variable: 'SHOAL_DTYPE',
    placeholder: 'TYPE',
    type: types.choice('auto', ...DTYPES),
    default: 'auto',
    commands: GRAPH,
    help: 'Graph of the model by the type of its weights, as transformers.js names them: fp32 is model.onnx, q4 is model_q4.onnx, q8 is model_quantized.onnx. auto takes what config.json recommends, else the best for the device.',
  }),
  modelFile: option({
    flag: 'model-file',
    variable: 'SHOAL_MODEL_FILE',
    placeholder: 'NAME',
    type: types.path,
    default: null,
    defaultNote: 'model',
    commands: GRAPH,
    help: 'Graph of the model by its name without type and ending, or by its file in the folder, such as onnx/model_q4.onnx.',
  }),
  servedModelName: option({
    flag: 'served-model-name',
    variable: 'SHOAL_SERVED_MODEL_NAME',
    placeholder: 'NAME...',
    type: types.listOf(SERVED_NAMES, 'names of at most 128 characters', /^.{1,128}$/),
    default: null,
    defaultNote: "the model folder's name, or its id on the hub",
    commands: ['up', 'coordinator'],
    help: 'Names of the model in the HTTP API, separated by blanks or commas. Answers have the first.',
  }),
  toolCallParser: option({
    flag: 'tool-call-parser',
    variable: 'SHOAL_TOOL_CALL_PARSER',
    placeholder: 'NAME',
    type: types.choice('auto', 'none', ...TOOL_CALL_PARSERS),
    default: 'auto',
    commands: ['up', 'coordinator'],
    help: 'How the model writes calls of tools in its answers. auto takes the form that its chat template has; none leaves calls in the text. Further: hermes, llama3_json, pythonic, mistral, deepseek_v3, deepseek_v31, openai (gpt-oss), functiongemma, gemma4.',
  }),
  reasoningParser: option({
    flag: 'reasoning-parser',
    variable: 'SHOAL_REASONING_PARSER',
    placeholder: 'NAME',
    type: types.choice('auto', 'none', ...REASONING_PARSERS),
    default: 'auto',
    commands: ['up', 'coordinator'],
    help: 'How answers begin with reasoning, which chats report apart from the text. auto takes the marks that the chat template has; none leaves reasoning in the text. Further: think (<think>…</think>), mistral, gemma4, openai_gptoss.',
  }),
} as const satisfies OptionTable;
