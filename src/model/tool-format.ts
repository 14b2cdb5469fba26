import type { CallForm } from '../core/constraint/tool-calls.js';

/** How families of models write calls of tools, by the names that vLLM gives to their parsers. */

export const TOOL_CALL_PARSERS = ['hermes', 'llama3_json', 'mistral'] as const;
export type ToolCallParser = (typeof TOOL_CALL_PARSERS)[number];

export interface ToolFormat {
  readonly parser: ToolCallParser;
  /** The marks that precede a call in the middle of a text. */
  readonly marks: readonly string[];
  /** The texts that may stand before and between calls, besides blanks. */
  readonly fillers: readonly string[];
  /** Whether an answer that begins with an object that is a call of a known tool needs no mark. */
  readonly bare: boolean;
  /** How calls are written that must be written. */
  readonly form: CallForm;
  /** Characters of the ids of calls; templates of Mistral demand nine. */
  readonly idForm: { readonly prefix: string; readonly chars: number };
}

const JSON_CALL = { before: '', open: '{"name": ', middle: ', "arguments": ', close: '}', between: '', after: '' };
const LONG_ID = { prefix: 'call_', chars: 24 };

export const TOOL_FORMATS: Readonly<Record<ToolCallParser, ToolFormat>> = {
  hermes: {
    parser: 'hermes',
    marks: ['<tool_call>'],
    fillers: ['<tool_call>', '</tool_call>'],
    bare: false,
    form: { ...JSON_CALL, open: '<tool_call>\n{"name": ', close: '}\n</tool_call>', between: '\n' },
    idForm: LONG_ID,
  },
  llama3_json: {
    parser: 'llama3_json',
    marks: ['<|python_tag|>'],
    fillers: ['<|python_tag|>', ';', ','],
    bare: true,
    form: { ...JSON_CALL, middle: ', "parameters": ', between: '; ' },
    idForm: LONG_ID,
  },
  mistral: {
    parser: 'mistral',
    marks: ['[TOOL_CALLS]'],
    fillers: ['[TOOL_CALLS]', '[', ']', ','],
    bare: false,
    // Its mark is a special token, which no text under a constraint may have.
    form: { ...JSON_CALL, before: '[', between: ', ', after: ']' },
    idForm: { prefix: '', chars: 9 },
  },
};

/** The parser for the calls that a chat template shows to its model; null if the template has none of the known forms. */
export function toolCallParserOf(template: string | null): ToolCallParser | null {
  if (template === null) return null;
  const has = (text: string) => template.includes(text);
  if (has('[TOOL_CALLS]')) return 'mistral';
  // Other families have something else than JSON between the same marks.
  if (has('<tool_call>') && !has('<function=') && !has('<arg_key>')) return 'hermes';
  if (has('<|python_tag|>') || (has('<|start_header_id|>') && has('"parameters": '))) return 'llama3_json';
  return null;
}
