import { InvalidRequest, Refused } from '../errors.js';
import type { ModelFolder } from './folder.js';
import { JinjaTemplate } from './jinja.js';
import { NO_SHADOWS, type Shadows } from './special-guard.js';
import { type SpecialTokenRole, specialToken } from './special-token.js';

/** Renders a conversation as one text, by the model's template. */

export interface ChatMessage {
  readonly role: string;
  /** Parts are joined by newlines. */
  readonly content: string | readonly ChatTextPart[] | null;
  readonly name?: string | undefined;
}

interface ChatTextPart {
  readonly type: 'text';
  readonly text: string;
}

export interface RenderOptions {
  /** Whether the text ends with the start of an assistant message, for the model to continue. Default: true. */
  readonly addGenerationPrompt?: boolean;
  /** Further variables of the template, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** Hides the anchors of special tokens in contents and names. Default: nothing is hidden. */
  readonly shadows?: Shadows;
}

/** The part of a model folder that a chat template comes from. */
export type TemplateSource = Pick<ModelFolder, 'dir' | 'chatTemplate' | 'tokenizerConfig'>;

/** A model's chat template. */
export class ChatTemplate {
  private constructor(
    private readonly template: JinjaTemplate,
    private readonly specialTokens: Readonly<Record<string, string>>,
  ) {}

  /**
   * @returns null if the model has no template
   * @throws Refused if the template is not valid Jinja
   */
  static from(folder: TemplateSource): ChatTemplate | null {
    if (folder.chatTemplate === null) return null;
    try {
      return new ChatTemplate(new JinjaTemplate(folder.chatTemplate), specialTokens(folder.tokenizerConfig));
    } catch (error) {
      throw new Refused(`cannot read the chat template in ${folder.dir}: ${reasonOf(error)}; correct the template`, {
        cause: error,
      });
    }
  }

  /** The string literals in the template's source, for which it may search the messages. */
  get literals(): readonly string[] {
    return this.template.literals;
  }

  /**
   * Renders a conversation. The text must be encoded without adding special tokens, because the template writes them.
   * @throws InvalidRequest if the template rejects the messages
   */
  render(messages: readonly ChatMessage[], options: RenderOptions = {}): string {
    const { hide } = options.shadows ?? NO_SHADOWS;
    const plain = messages.map(({ role, content, name }, index) => ({
      role,
      content: hide(plainText(content, index)),
      ...(name === undefined ? {} : { name: hide(name) }),
    }));
    try {
      return this.template.render({
        ...this.specialTokens,
        ...options.variables,
        messages: plain,
        add_generation_prompt: options.addGenerationPrompt ?? true,
      });
    } catch (error) {
      if (error instanceof InvalidRequest) throw error;
      throw new InvalidRequest(`messages: the model's chat template rejects them: ${reasonOf(error)}`, 'messages');
    }
  }
}

const ROLES: readonly SpecialTokenRole[] = ['bos_token', 'eos_token', 'unk_token', 'pad_token'];

function specialTokens(config: Readonly<Record<string, unknown>>): Record<string, string> {
  const tokens = ROLES.map((role) => [role, specialToken(config, role)] as const);
  return Object.fromEntries(tokens.filter((entry): entry is [SpecialTokenRole, string] => entry[1] !== null));
}

function plainText(content: ChatMessage['content'], index: number): string {
  if (content === null) return '';
  if (typeof content === 'string') return content;
  for (const part of content) {
    if (part.type !== 'text' || typeof part.text !== 'string') {
      throw new InvalidRequest(
        `messages[${index}].content: parts must have the type "text"`,
        `messages[${index}].content`,
      );
    }
  }
  return content.map((part) => part.text).join('\n');
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
