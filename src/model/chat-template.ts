import { InvalidRequest, Refused } from '../errors.js';
import type { ModelFolder } from './folder.js';
import { stripped } from './jinja/python-text.js';
import { JinjaTemplate } from './jinja/template.js';
import { NO_CONTENT } from './jinja/values.js';
import { seen } from './shadow-chars.js';
import { NO_SHADOWS, type Shadows } from './special-guard.js';
import { type SpecialTokenRole, specialToken } from './special-token.js';
import { type ArgumentsForm, mapStrings, stringsIn, toolNames, withArguments } from './tool-calls.js';

/** Renders a conversation as one text, by the model's template. */

export interface ChatMessage {
  readonly role: string;
  /** Parts are joined by newlines. Null becomes None, or an empty string for templates that fail on None. */
  readonly content: string | readonly ChatTextPart[] | null;
  readonly name?: string | undefined;
  /** The assistant's tool calls, as in OpenAI's API. */
  readonly toolCalls?: readonly unknown[] | undefined;
  /** The call that a message of a tool answers. */
  readonly toolCallId?: string | undefined;
  /** The assistant's reasoning before its answer. */
  readonly reasoning?: string | undefined;
}

interface ChatTextPart {
  readonly type: 'text';
  readonly text: string;
}

export interface TemplateVariable {
  readonly value: unknown;
  readonly param: string;
  /** Whether it has no effect on a template without it. Default: it is refused then. */
  readonly optional?: boolean;
}

export interface RenderOptions {
  /** Whether the text ends with the start of an assistant message, for the model to continue. Default: true. */
  readonly addGenerationPrompt?: boolean;
  /** The tools that the model may call, in the form of OpenAI's API. Default: none. */
  readonly tools?: readonly unknown[];
  /** Further variables of the template, such as `enable_thinking`, with the field of the request that each came from. */
  readonly variables?: Readonly<Record<string, TemplateVariable>>;
  /** Whether the text ends with the content of the last message, for the model to continue it. Default: false. */
  readonly continueFinalMessage?: boolean;
  /** Hides the anchors of special tokens in everything that comes from the client. Default: nothing is hidden. */
  readonly shadows?: Shadows;
}

/** The part of a model folder that a chat template comes from. */
export type TemplateSource = Pick<ModelFolder, 'dir' | 'chatTemplate' | 'toolTemplate' | 'tokenizerConfig'>;

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
  static from(folder: Omit<TemplateSource, 'toolTemplate'>): ChatTemplate | null {
    return ChatTemplate.read(folder.chatTemplate, folder);
  }

  /**
   * The template for chats with tools.
   * @returns null if the model has no template
   * @throws Refused if the template is not valid Jinja
   */
  static forTools(folder: TemplateSource): ChatTemplate | null {
    return ChatTemplate.read(folder.toolTemplate ?? folder.chatTemplate, folder);
  }

  private static read(
    source: string | null,
    folder: Pick<TemplateSource, 'dir' | 'tokenizerConfig'>,
  ): ChatTemplate | null {
    if (source === null) return null;
    try {
      return new ChatTemplate(new JinjaTemplate(source), specialTokens(folder.tokenizerConfig));
    } catch (error) {
      throw new Refused(`cannot read the chat template in ${folder.dir}: ${sourceFault(error)}; correct the template`, {
        cause: error,
      });
    }
  }

  /** All strings of a conversation that come from the client. */
  static textsOf(messages: readonly ChatMessage[], { tools = [], variables = {} }: RenderOptions): string[] {
    return stringsIn([
      tools,
      Object.values(variables).map(({ value }) => value),
      messages.map(({ content, name = '', toolCalls = [], toolCallId = '', reasoning = '' }) => [
        content,
        reasoning,
        name,
        toolCalls.flatMap((call) => [withArguments(call, 'object'), withArguments(call, 'text')]),
        toolCallId,
      ]),
    ]);
  }

  /** Whether the template describes tools to the model. */
  get takesTools(): boolean {
    return this.template.names.has('tools');
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
    const { tools = [], variables = {} } = options;
    if (tools.length > 0 && !this.takesTools)
      throw new InvalidRequest("tools: the model's chat template does not tell the model about tools", 'tools');
    for (const [name, { param, optional }] of Object.entries(variables)) {
      if (!optional && !this.template.names.has(name))
        throw new InvalidRequest(`${param}: the model's chat template has no variable '${name}'; leave it out`, param);
    }
    const fill = (form: MessageForm) => {
      const text = orRejected(() => this.fill(messages, form, options, hide));
      return options.continueFinalMessage ? upToContent(text, messages.at(-1), hide) : text;
    };
    // Many templates join texts unseen, which fails for None and for objects, or demand the names of tools, in transformers too.
    const forms = messages.some(({ content }) => content === null) ? WITH_NONE : WITHOUT_NONE;
    const others = messages.some(({ toolCalls }) => toolCalls !== undefined) ? forms.flatMap(furtherForms) : [];
    return firstOf([...forms, ...others], fill, forms.length);
  }

  private fill(
    messages: readonly ChatMessage[],
    form: MessageForm,
    { tools = [], variables = {}, addGenerationPrompt = true }: RenderOptions,
    hide: (text: string) => string,
  ): string {
    return this.template.render({
      ...this.specialTokens,
      // As in transformers, these are defined and None where a request has none.
      ...{ tools: null, documents: null },
      ...Object.fromEntries(Object.entries(variables).map(([name, { value }]) => [name, mapStrings(value, hide)])),
      messages: (form.namesTools ? withToolNames(messages) : messages).map((message, index) =>
        forTemplate(message, index, form, hide),
      ),
      ...(tools.length > 0 ? { tools: mapStrings(tools, hide) } : {}),
      add_generation_prompt: addGenerationPrompt,
    });
  }
}

/** How a template sees messages. */
interface MessageForm {
  /** The content of those without one. */
  readonly absent: typeof NO_CONTENT | '';
  readonly arguments: ArgumentsForm;
  /** Whether results have the names of the tools that were called. */
  readonly namesTools: boolean;
}

const WITHOUT_NONE: readonly MessageForm[] = [{ absent: '', arguments: 'object', namesTools: false }];
const WITH_NONE: readonly MessageForm[] = [{ ...WITHOUT_NONE[0]!, absent: NO_CONTENT }, ...WITHOUT_NONE];

function furtherForms(form: MessageForm): MessageForm[] {
  const named: MessageForm = { ...form, namesTools: true };
  return [{ ...form, arguments: 'text' }, named, { ...named, arguments: 'text' }];
}

/** The text in the first form that the template takes. If it takes none, the error is that of the last of the `usual` first ones. */
function firstOf(forms: readonly MessageForm[], fill: (form: MessageForm) => string, usual: number): string {
  let reason: unknown;
  for (const [i, form] of forms.entries()) {
    try {
      return fill(form);
    } catch (error) {
      if (!(error instanceof InvalidRequest)) throw error;
      if (i < usual) reason = error;
    }
  }
  throw reason;
}

function orRejected(render: () => string): string {
  try {
    return render();
  } catch (error) {
    throw error instanceof InvalidRequest ? error : rejected(error);
  }
}

function rejected(error: unknown): InvalidRequest {
  return new InvalidRequest(`messages: the model's chat template rejects them: ${seen(reasonOf(error))}`, 'messages');
}

const ROLES: readonly SpecialTokenRole[] = ['bos_token', 'eos_token', 'unk_token', 'pad_token'];

function specialTokens(config: Readonly<Record<string, unknown>>): Record<string, string> {
  const tokens = ROLES.map((role) => [role, specialToken(config, role)] as const);
  return Object.fromEntries(tokens.filter((entry): entry is [SpecialTokenRole, string] => entry[1] !== null));
}

function forTemplate(
  message: ChatMessage,
  index: number,
  { absent, arguments: form }: MessageForm,
  hide: (text: string) => string,
): object {
  const { role, content, name, toolCalls, toolCallId, reasoning } = message;
  return {
    role,
    content: content === null ? absent : hide(plainText(content, index)),
    ...(name === undefined ? {} : { name: hide(name) }),
    ...(toolCalls === undefined
      ? {}
      : {
          tool_calls: mapStrings(
            toolCalls.map((call) => withArguments(call, form)),
            hide,
          ),
        }),
    ...(toolCallId === undefined ? {} : { tool_call_id: hide(toolCallId) }),
    ...(reasoning === undefined
      ? {}
      : thoughts(hide(reasoning), content !== null && content !== '' && toolCalls !== undefined)),
  };
}

/** The messages, where each result has the name of the tool that was called. */
function withToolNames(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  const names = toolNames(messages.flatMap(({ toolCalls = [] }) => toolCalls));
  return messages.map((message) => {
    const name = message.toolCallId === undefined ? undefined : names.get(message.toolCallId);
    return message.name !== undefined || name === undefined ? message : { ...message, name };
  });
}

/** The reasoning under the names that templates know. The one of gpt-oss refuses `thinking` beside a content and calls. */
function thoughts(reasoning: string, beside: boolean): object {
  return { reasoning_content: reasoning, reasoning, ...(beside ? {} : { thinking: reasoning }) };
}

/** A rendered conversation up to the end of its last message's content, as transformers cuts it. */
function upToContent(text: string, message: ChatMessage | undefined, hide: (text: string) => string): string {
  const param = 'continue_final_message';
  const content = hide(plainText(message?.content ?? '', 0));
  const core = stripped(content, null);
  if (core === '') throw new InvalidRequest(`${param}: the last message has no content that could be continued`, param);
  const at = text.lastIndexOf(core);
  if (at < 0)
    throw new InvalidRequest(`${param}: the model's chat template changes the content of the last message`, param);
  const whole = stripped(content, null, 'left');
  return text.slice(0, at) + (text.startsWith(whole, at) ? whole : core);
}

function plainText(content: string | readonly ChatTextPart[], index: number): string {
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

/** The fault in a template's source. The library's own errors tell the reader nothing. */
function sourceFault(error: unknown): string {
  if (error instanceof RangeError) return 'it is nested too deeply';
  return error instanceof TypeError ? 'it ends within a statement, or is no Jinja' : reasonOf(error);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
