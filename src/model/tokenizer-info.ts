import type { ModelFolder } from './folder.js';

/** The tokenizer's description for clients: its configuration, its special tokens as strings, and the chat template in use. */
export function tokenizerInfo({
  tokenizerConfig,
  chatTemplate,
}: Pick<ModelFolder, 'tokenizerConfig' | 'chatTemplate'>): Readonly<Record<string, unknown>> {
  const { chat_template: _, ...rest } = tokenizerConfig;
  const entries = Object.entries(rest).map(([name, value]) => [name, textOf(value)]);
  return { ...Object.fromEntries(entries), ...(chatTemplate === null ? {} : { chat_template: chatTemplate }) };
}

/** The text of a special token that is spelled with its properties. */
function textOf(value: unknown): unknown {
  const isToken =
    typeof value === 'object' && value !== null && 'content' in value && typeof value.content === 'string';
  return isToken ? value.content : value;
}
