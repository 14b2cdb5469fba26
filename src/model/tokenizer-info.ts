import type { ModelFolder } from './folder.js';

/** The tokenizer's description for clients: its configuration, its special tokens as strings, and the chat templates in use, as transformers writes them. */
export function tokenizerInfo({
  tokenizerConfig,
  chatTemplate,
  toolTemplate,
}: Pick<ModelFolder, 'tokenizerConfig' | 'chatTemplate' | 'toolTemplate'>): Readonly<Record<string, unknown>> {
  const { chat_template: _, ...rest } = tokenizerConfig;
  const entries = Object.entries(rest).map(([name, value]) => [name, textOf(value)]);
  const template =
    toolTemplate === null
      ? chatTemplate
      : [
          { name: 'default', template: chatTemplate },
          { name: 'tool_use', template: toolTemplate },
        ];
  return { ...Object.fromEntries(entries), ...(template === null ? {} : { chat_template: template }) };
}

/** The text of a special token that is spelled with its properties. */
function textOf(value: unknown): unknown {
  const isToken =
    typeof value === 'object' && value !== null && 'content' in value && typeof value.content === 'string';
  return isToken ? value.content : value;
}
