import { type Constraint, compileConstraint } from '../core/constraint/constraint.js';
import { InvalidRequest } from '../errors.js';
import { type ChatMessage, ChatTemplate, type TemplateSource } from '../model/chat-template.js';
import { NO_SHADOWS, type SpecialGuard } from '../model/special-guard.js';
import { TextTooLong, Tokenizer, type TokenizerSource } from '../model/tokenizer.js';
import type { ChatTextOptions, EncodedText, TextOptions } from './text-work.js';

/** One conversion between text and tokens, as a message to the thread that does it. */
export type TextTask =
  | { readonly type: 'encode'; readonly text: string; readonly options: TextOptions }
  | { readonly type: 'chat'; readonly messages: readonly ChatMessage[]; readonly options: ChatTextOptions }
  | { readonly type: 'decode'; readonly tokens: Uint32Array; readonly options: Pick<TextOptions, 'param'> }
  | { readonly type: 'constrain'; readonly constraint: Constraint; readonly options: Pick<TextOptions, 'param'> };

export type TextResult =
  | EncodedText
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'program'; readonly program: Uint8Array };

/** The part of a model folder that texts need. */
export type TextSource = TokenizerSource & TemplateSource;

/** Does tasks in the calling thread, however long they take. */
export class TextTasks {
  private readonly chats: Chats | null;
  private readonly chatsWithTools: Chats | null;

  private constructor(
    readonly tokenizer: Tokenizer,
    source: TemplateSource,
  ) {
    this.chats = chatsOf(ChatTemplate.from(source), tokenizer);
    this.chatsWithTools = chatsOf(ChatTemplate.forTools(source), tokenizer);
  }

  /** Throws `Refused` if the tokenizer or the template cannot be read. */
  static async load(source: TextSource): Promise<TextTasks> {
    return new TextTasks(await Tokenizer.load(source), source);
  }

  get hasTemplate(): boolean {
    return this.chats !== null;
  }

  /**
   * @param onProgress called again and again while a text is encoded; its error stops the task
   * @throws InvalidRequest, as `TextWork` does
   */
  run(task: TextTask, onProgress: () => void = () => {}): TextResult {
    if (task.type === 'constrain') return { type: 'program', program: programOf(task.constraint, task.options.param) };
    if (task.type === 'decode') return { type: 'text', text: this.tokenizer.decode([...task.tokens]) };
    try {
      return { type: 'tokens', tokens: Uint32Array.from(this.encode(task, onProgress)) };
    } catch (error) {
      if (error instanceof TextTooLong) return { type: 'too-long', atLeastTokens: error.atLeastTokens };
      throw error;
    }
  }

  private encode(task: Exclude<TextTask, { type: 'decode' | 'constrain' }>, onProgress: () => void): number[] {
    const { param, addSpecialTokens, parseSpecial, mostTokens } = task.options;
    const options = { addSpecialTokens, mostTokens, onProgress };
    if (task.type === 'encode') {
      const shadows = parseSpecial ? NO_SHADOWS : this.tokenizer.guard.shadowsFor([task.text], param);
      return this.tokenizer.encode(shadows.hide(task.text), { ...options, shadows });
    }
    const { addGenerationPrompt, continueFinalMessage = false, variables = {} } = task.options;
    const { template, guard } = (task.options.tools?.length ? this.chatsWithTools : this.chats)!;
    const tools = toolsShown(task.options, template);
    const shown = { addGenerationPrompt, continueFinalMessage, variables, tools };
    const texts = ChatTemplate.textsOf(task.messages, shown);
    const shadows = parseSpecial ? NO_SHADOWS : guard.shadowsFor(texts, param);
    const text = template.render(task.messages, { ...shown, shadows });
    return this.tokenizer.encode(text, { ...options, shadows });
  }
}

/** A template, and the guard that keeps special tokens out of the texts that it is given. */
interface Chats {
  readonly template: ChatTemplate;
  readonly guard: SpecialGuard;
}

function chatsOf(template: ChatTemplate | null, { guard }: Tokenizer): Chats | null {
  return template === null ? null : { template, guard: guard.keeping(template.literals) };
}

function toolsShown({ tools = [], toolsAre }: ChatTextOptions, template: ChatTemplate): readonly unknown[] {
  return toolsAre === 'enforced' && !template.takesTools ? [] : tools;
}

/** Names the field that a constraint came from in errors. */
function programOf(constraint: Constraint, param: string): Uint8Array {
  try {
    return new Uint8Array(compileConstraint(constraint).buffer);
  } catch (error) {
    if (error instanceof InvalidRequest) throw new InvalidRequest(`${param}: ${error.message}`, param);
    throw error;
  }
}
