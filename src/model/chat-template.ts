import { Template } from '@huggingface/jinja';
import { z } from 'zod';
import { InvalidRequest, Refused } from '../errors.js';
import type { ModelFolder } from './folder.js';

export interface ChatMessage {
  readonly role: string;
  /** Parts are joined by line breaks. */
  readonly content: string | readonly ChatTextPart[] | null;
  readonly name?: string | undefined;
}

interface ChatTextPart {
  readonly type: 'text';
  readonly text: string;
}

export interface RenderOptions {
  /** Ends with the beginning of an assistant message, for the model to go on. Default true. */
  readonly addGenerationPrompt?: boolean;
  /** More variables for the template, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** A special token in tokenizer_config.json. */
const SpecialToken = z.union([z.string(), z.looseObject({ content: z.string() }).transform((token) => token.content)]);

/** The model's own way to write a conversation as one text. */
export class ChatTemplate {
  private constructor(
    private readonly template: Template,
    private readonly specialTokens: Readonly<Record<string, string>>,
  ) {}

  /**
   * @returns null if the model has no template
   * @throws Refused if it is no Jinja
   */
  static from(folder: ModelFolder): ChatTemplate | null {
    if (folder.chatTemplate === null) return null;
    try {
      return new ChatTemplate(new Template(folder.chatTemplate), specialTokens(folder.tokenizerConfig));
    } catch (error) {
      throw new Refused(`reading the chat template in ${folder.dir}: ${reasonOf(error)}. Correct it.`, {
        cause: error,
      });
    }
  }

  /**
   * The conversation as text, to be encoded without adding special tokens, which the template writes itself.
   * @throws InvalidRequest if the template refuses the messages
   */
  render(messages: readonly ChatMessage[], options: RenderOptions = {}): string {
    const plain = messages.map(({ role, content, name }, index) => ({
      role,
      content: plainText(content, index),
      ...(name === undefined ? {} : { name }),
    }));
    try {
      return this.template.render({
        ...this.specialTokens,
        ...options.variables,
        messages: plain,
        add_generation_prompt: options.addGenerationPrompt ?? true,
      });
    } catch (error) {
      throw new InvalidRequest(`the model's chat template refuses the messages: ${reasonOf(error)}`, 'messages');
    }
  }
}

function specialTokens(config: Readonly<Record<string, unknown>>): Record<string, string> {
  const tokens: Record<string, string> = {};
  for (const name of ['bos_token', 'eos_token', 'unk_token', 'pad_token']) {
    const token = SpecialToken.safeParse(config[name]);
    if (token.success) tokens[name] = token.data;
  }
  return tokens;
}

function plainText(content: ChatMessage['content'], index: number): string {
  if (content === null) return '';
  if (typeof content === 'string') return content;
  for (const part of content) {
    if (part.type !== 'text' || typeof part.text !== 'string') {
      throw new InvalidRequest('only parts of type "text" are served', `messages[${index}].content`);
    }
  }
  return content.map((part) => part.text).join('\n');
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
