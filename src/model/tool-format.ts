import type { CallForm } from '../core/constraint/tool-calls.js';
import { JSON_VALUES, PYTHON_VALUES } from '../core/constraint/value-form.js';

/** How families of models write calls of tools, by the names that vLLM gives to their parsers. */

export const TOOL_CALL_PARSERS = [
  'hermes',
  'llama3_json',
  'pythonic',
  'mistral',
  'deepseek_v3',
  'deepseek_v31',
  'openai',
  'functiongemma',
  'gemma4',
] as const;
export type ToolCallParser = (typeof TOOL_CALL_PARSERS)[number];

/** The syntax of one call. */
type CallSyntax =
  /** A JSON object with the name and the arguments. */
  | { readonly type: 'object' }
  /** The same, or after the mark a name and then the arguments. */
  | { readonly type: 'mistral' }
  /** `name(key=value, …)` in a list. */
  | { readonly type: 'python' }
  | { readonly type: 'deepseek' }
  /** `call:name{key:value,…}`, with `quote` on both sides of strings. */
  | { readonly type: 'gemma'; readonly quote: string }
  /** A message in the channel `commentary` with a function as its recipient. */
  | { readonly type: 'harmony' };

export interface ToolFormat {
  readonly parser: ToolCallParser;
  readonly syntax: CallSyntax;
  /** The marks that precede a call in the middle of a text. */
  readonly marks: readonly string[];
  /** The texts that may stand before and between calls, besides blanks. */
  readonly fillers: readonly string[];
  /** The texts after the last call, with which the answer ends. */
  readonly ends: readonly string[];
  /** Whether an answer that begins with a call of a known tool needs no mark. */
  readonly bare: boolean;
  /** How calls are written that must be written. */
  readonly form: CallForm;
  /** Characters of the ids of calls; templates of Mistral demand nine. */
  readonly idForm: { readonly prefix: string; readonly chars: number };
}

const JSON_CALL: CallForm = {
  ...{ before: '', open: '{"name": ', name: 'json', middle: ', "arguments": ', close: '}', between: '', after: '' },
  ...{ values: JSON_VALUES, members: null },
};
const OTHERS = { ends: [], bare: false, idForm: { prefix: 'call_', chars: 24 } };

/** DeepSeek's marks around all calls, and around one. */
const CALLS = { begin: '<｜tool▁calls▁begin｜>', end: '<｜tool▁calls▁end｜>' };
const CALL = { begin: '<｜tool▁call▁begin｜>', name: '<｜tool▁sep｜>', end: '<｜tool▁call▁end｜>' };

const DEEPSEEK: Omit<ToolFormat, 'parser' | 'form'> = {
  ...OTHERS,
  syntax: { type: 'deepseek' },
  marks: [CALLS.begin, CALL.begin],
  fillers: [CALLS.begin, CALL.begin, '```', CALL.end],
  ends: [CALLS.end],
};

/** @param mark `begin` stands before a call and `end` after it; `result` begins the result of one */
function gemma(
  parser: ToolCallParser,
  quote: string,
  mark: Readonly<Record<'begin' | 'end' | 'result', string>>,
): ToolFormat {
  const values = { ...JSON_VALUES, quote, bare: true };
  return {
    ...{ ...OTHERS, parser, syntax: { type: 'gemma', quote } },
    ...{ marks: [mark.begin], fillers: [mark.begin, mark.end], ends: [mark.result] },
    form: {
      ...{ before: '', open: `${mark.begin}call:`, name: 'bare', middle: '{', close: `}${mark.end}`, between: '' },
      ...{ after: '', values, members: { assign: ':', separator: ',' } },
    },
  };
}

const TOOL_FORMATS: Readonly<Record<ToolCallParser, ToolFormat>> = {
  hermes: {
    ...OTHERS,
    parser: 'hermes',
    syntax: { type: 'object' },
    marks: ['<tool_call>'],
    fillers: ['<tool_call>', '</tool_call>'],
    form: { ...JSON_CALL, open: '<tool_call>\n{"name": ', close: '}\n</tool_call>', between: '\n' },
  },
  llama3_json: {
    ...OTHERS,
    parser: 'llama3_json',
    syntax: { type: 'object' },
    marks: ['<|python_tag|>', '<|python_start|>'],
    fillers: ['<|python_tag|>', '<|python_start|>', '<|python_end|>', ';', ','],
    bare: true,
    form: { ...JSON_CALL, middle: ', "parameters": ', between: '; ' },
  },
  pythonic: {
    ...OTHERS,
    parser: 'pythonic',
    syntax: { type: 'python' },
    marks: ['<|python_start|>'],
    fillers: ['<|python_start|>', '<|python_end|>', '[', ']', ','],
    bare: true,
    form: {
      ...{ before: '[', open: '', name: 'bare', middle: '(', close: ')', between: ', ', after: ']' },
      ...{ values: PYTHON_VALUES, members: { assign: '=', separator: ', ' } },
    },
  },
  mistral: {
    ...OTHERS,
    parser: 'mistral',
    syntax: { type: 'mistral' },
    marks: ['[TOOL_CALLS]'],
    fillers: ['[TOOL_CALLS]', '[', ']', ','],
    form: { ...JSON_CALL, before: '[TOOL_CALLS][', between: ', ', after: ']' },
    idForm: { prefix: '', chars: 9 },
  },
  deepseek_v3: {
    ...DEEPSEEK,
    parser: 'deepseek_v3',
    form: {
      ...{ ...JSON_CALL, before: CALLS.begin, open: `${CALL.begin}function${CALL.name}`, name: 'bare' },
      ...{ middle: '\n```json\n', close: `\n\`\`\`${CALL.end}`, between: '\n', after: CALLS.end },
    },
  },
  deepseek_v31: {
    ...DEEPSEEK,
    parser: 'deepseek_v31',
    form: {
      ...{ ...JSON_CALL, before: CALLS.begin, open: CALL.begin, name: 'bare' },
      ...{ middle: CALL.name, close: CALL.end, after: CALLS.end },
    },
  },
  openai: {
    ...OTHERS,
    parser: 'openai',
    syntax: { type: 'harmony' },
    ...{ marks: [], fillers: [] },
    form: {
      ...{ ...JSON_CALL, open: '<|channel|>commentary to=functions.', name: 'bare' },
      ...{ middle: ' <|constrain|>json<|message|>', close: '' },
    },
  },
  functiongemma: gemma('functiongemma', '<escape>', {
    begin: '<start_function_call>',
    end: '<end_function_call>',
    result: '<start_function_response>',
  }),
  gemma4: gemma('gemma4', '<|"|>', { begin: '<|tool_call>', end: '<tool_call|>', result: '<|tool_response>' }),
};

/** The newer models of Mistral write a mark and the name before the arguments of each call. */
const MISTRAL_NAMED: CallForm = { ...JSON_CALL, open: '[TOOL_CALLS]', name: 'bare', middle: '[ARGS]', close: '' };

/** @param template the model's chat template, where forms differ within a family; null for none */
export function toolFormatOf(parser: ToolCallParser, template: string | null): ToolFormat {
  const format = TOOL_FORMATS[parser];
  return parser === 'mistral' && template?.includes('[ARGS]') ? { ...format, form: MISTRAL_NAMED } : format;
}

/** The parser for the calls that a chat template shows to its model; null if the template has none of the known forms. */
export function toolCallParserOf(template: string | null): ToolCallParser | null {
  if (template === null) return null;
  const has = (text: string) => template.includes(text);
  if (has('<|channel|>') && has('<|message|>')) return 'openai';
  if (has(CALL.begin)) return has('```json') ? 'deepseek_v3' : 'deepseek_v31';
  if (has('<|tool_call>') && has('call:')) return 'gemma4';
  if (has('<start_function_call>')) return 'functiongemma';
  if (has('[TOOL_CALLS]')) return 'mistral';
  // Other families have something else than JSON between the same marks.
  if (has('<tool_call>') && !has('<function=') && !has('<arg_key>')) return 'hermes';
  // Templates describe the form to the model in these words, or write calls so.
  if (has('[func_name1(') || /\bname\s*[+~]\s*(['"])\(\1/.test(template)) return 'pythonic';
  const isLlama = has('<|start_header_id|>') || has('<|header_start|>');
  return has('<|python_tag|>') || (isLlama && has('"parameters": ')) ? 'llama3_json' : null;
}
