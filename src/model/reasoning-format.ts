/** How families of models mark their reasoning before an answer. */

export const REASONING_PARSERS = ['think', 'mistral', 'gemma4', 'openai_gptoss'] as const;
export type ReasoningParser = (typeof REASONING_PARSERS)[number];

export interface ReasoningMarks {
  readonly begin: string;
  readonly end: string;
}

/** The marks of each parser; null: reasoning is a channel of its own, as in the format harmony. */
export const REASONING_MARKS: Readonly<Record<ReasoningParser, ReasoningMarks | null>> = {
  think: { begin: '<think>', end: '</think>' },
  mistral: { begin: '[THINK]', end: '[/THINK]' },
  gemma4: { begin: '<|channel>thought', end: '<channel|>' },
  openai_gptoss: null,
};

/** The parser for the reasoning that a chat template has marks for; null if it has none. */
export function reasoningParserOf(template: string | null): ReasoningParser | null {
  if (template === null) return null;
  const has = (text: string) => template.includes(text);
  if (has('<|channel|>') && has('<|message|>')) return 'openai_gptoss';
  if (has('</think>')) return 'think';
  if (has('[/THINK]')) return 'mistral';
  return has('<|channel>') && has('<channel|>') ? 'gemma4' : null;
}
