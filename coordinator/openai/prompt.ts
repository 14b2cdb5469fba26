import type { Clock } from '../../src/clock.js';
import { InvalidRequest, Overloaded } from '../../src/errors.js';
import { CHOICES_PER_REQUEST, PROMPT_TOKENS, PROMPTS_PER_REQUEST } from '../../src/limits.js';
import type { ChatTextOptions, EncodedText, TextCaller } from '../../src/text/text-work.js';
import { ApiError, contextLengthExceeded } from './api-error.js';
import { sharedBlocks } from './mark.js';
import type { RequestMessage } from './messages.js';
import type { ExplainRequest } from './requests.js';
import type { ServedModel } from './served-model.js';
import { chatEnding, type TemplateFields, templateVariables } from './template-fields.js';
import { type ToolFields, toolUseOf } from './tool-use.js';

/** Turns the prompts of requests into token ids. */

/** Time for all texts of a request, waiting included, after which no further text of it is converted. */
const PROMPTS_MS = 30_000;

export interface Prompt {
  readonly tokens: Uint32Array;
  /** The client's text; null if it sent token ids whose text was not wanted, or messages. */
  readonly text: string | null;
  /** The field it came from. */
  readonly param: string;
}

/** How the texts of a request are read; fields as in `TextOptions`. An omitted field has the default of its kind of prompt. */
export interface ReadingOptions extends TemplateFields {
  readonly add_special_tokens?: boolean | undefined;
  readonly parse_special?: boolean | undefined;
  /** The tools that the model may call, in a chat. Default: none. */
  readonly tools?: ToolFields['tools'];
  readonly tool_choice?: ToolFields['tool_choice'];
  /** Whether prompts of token ids are to have their text too. Default: false. */
  readonly withText?: boolean;
  /** Of a longer prompt, only this many tokens are taken: its last ones, or with `truncation_side` right its first. */
  readonly truncate_prompt_tokens?: number | undefined;
  readonly truncation_side?: 'left' | 'right' | undefined;
  /** The field that a conversation came from. Default: messages. */
  readonly param?: string;
  /** Choices for each prompt. Default: 1. */
  readonly n?: number | undefined;
}

/** The three forms of a prompt in requests about the cache. */
type PromptFields = Pick<ExplainRequest, 'prompt' | 'messages' | 'tokens'>;

/** Upper bound on the factor by which a tokenizer's normalizer shortens a text. */
const NORMALIZER_SHRINKS_BY = 4;

/** One prompt of a request, checked as far as possible without converting its text. */
type CheckedPrompt =
  | { readonly type: 'text'; readonly text: string; readonly param: string }
  | { readonly type: 'ids'; readonly tokens: Uint32Array; readonly param: string };

/** Reads prompts in every form that the API accepts. Every method throws `InvalidRequest` or `ApiError` that names the first wrong prompt. */
export class PromptReader {
  private readonly model: ServedModel;
  private readonly clock: Clock;
  /** Bytes of text per token, at most. */
  private readonly bytesPerToken: number;

  constructor(model: ServedModel, clock: Clock) {
    this.model = model;
    this.clock = clock;
    let longest = 1;
    for (let id = 0; id < model.tokenizer.vocabSize; id++) {
      longest = Math.max(longest, model.tokenizer.tokenBytes(id).byteLength);
    }
    this.bytesPerToken = longest * NORMALIZER_SHRINKS_BY;
  }

  /** Reads one or several prompts, as strings or token ids, if there are not too many choices. All are checked before the first text is converted. */
  async readPrompts(value: unknown, options: ReadingOptions, caller: TextCaller): Promise<Prompt[]> {
    const checked = this.checkPrompts(value, options);
    checkChoices(checked.length, options.n ?? 1);
    const prompts: Prompt[] = [];
    const untilMs = this.clock.now() + PROMPTS_MS;
    // One by one, so that the texts of other requests have their turn in between.
    for (const prompt of checked) {
      if (this.clock.now() > untilMs)
        throw new Overloaded(`${prompt.param}: the texts before took more than ${PROMPTS_MS} ms; send fewer at a time`);
      prompts.push(await this.readChecked(prompt, options, caller));
    }
    return prompts;
  }

  /** Reads the prompt of a request that has it in exactly one of three fields. */
  async readPrompt(fields: PromptFields, options: ReadingOptions, caller: TextCaller): Promise<Prompt> {
    const { prompt, messages, tokens } = fields;
    const given = [prompt, messages, tokens].filter((value) => value !== undefined).length;
    if (given !== 1)
      throw new InvalidRequest('prompt: exactly one of prompt, messages and tokens is required', 'prompt');
    if (messages !== undefined) return this.readMessages(messages, options, caller);
    if (prompt !== undefined) return this.readText(prompt, 'prompt', options, caller);
    if (!Array.isArray(tokens)) throw new InvalidRequest('tokens: must be an array of token ids', 'tokens');
    return this.readChecked(this.checkPromptIds(tokens, 'tokens', options), options, caller);
  }

  /**
   * Converts a text to tokens. By default with the model's special tokens around it, and with special tokens where the text spells them: a
   * client that sends a prompt instead of messages may write the template by hand.
   */
  readText(text: unknown, param: string, options: ReadingOptions, caller: TextCaller): Promise<Prompt> {
    return this.readChecked(this.checkText(text, param, options), options, caller);
  }

  /**
   * Renders a chat, by default up to the start of the assistant's answer, and converts it to tokens. By default special tokens come from the
   * template alone: where a message spells one, it stays text.
   */
  async readMessages(messages: RequestMessage[], options: ReadingOptions, caller: TextCaller): Promise<Prompt> {
    const { param = 'messages' } = options;
    const { text, contextTokens } = this.model;
    checkChoices(1, options.n ?? 1);
    if (!text.hasTemplate)
      throw new InvalidRequest(`${param}: the model has no chat template; use /v1/completions`, param);
    const bytes = messages.reduce((sum, { content }) => sum + Buffer.byteLength(content ?? ''), 0);
    if (options.truncate_prompt_tokens === undefined) this.checkSize(bytes, param);
    const { type: use } = toolUseOf(options);
    const tools = use === 'none' ? [] : (options.tools ?? []);
    const chatOptions: ChatTextOptions = {
      param,
      addSpecialTokens: options.add_special_tokens ?? false,
      parseSpecial: options.parse_special ?? false,
      ...chatEnding(options, messages),
      variables: templateVariables(options),
      tools,
      // Calls that the answer must have are written under a constraint, by any model.
      toolsAre: use === 'enforced' ? 'enforced' : 'offered',
      mostTokens: mostTokens(options, contextTokens),
    };
    return this.promptOf(await text.encodeChat(messages, chatOptions, caller), null, param, options);
  }

  /**
   * The whole blocks with which the prompts of two chats both begin.
   * @param other the messages of the other one, which a template may reject: then they share none
   */
  async prefixOf(
    prompt: Prompt,
    other: RequestMessage[],
    options: ReadingOptions,
    caller: TextCaller,
  ): Promise<Uint32Array> {
    try {
      const reading = { ...options, add_generation_prompt: true, continue_final_message: false };
      return sharedBlocks(prompt.tokens, (await this.readMessages(other, reading, caller)).tokens);
    } catch (error) {
      if (error instanceof InvalidRequest || error instanceof ApiError) return new Uint32Array();
      throw error;
    }
  }

  /** Throws unless all of `ids` are token ids of the model. */
  checkIds(ids: readonly unknown[], param: string): asserts ids is readonly number[] {
    const { vocabSize } = this.model.tokenizer;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i];
      if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < vocabSize) continue;
      const at = `${param}[${i}]`;
      throw new InvalidRequest(`${at}: must be a token id from 0 to ${vocabSize - 1}`, at);
    }
  }

  private checkPrompts(value: unknown, options: ReadingOptions): CheckedPrompt[] {
    if (typeof value === 'string') return [this.checkText(value, 'prompt', options)];
    if (!Array.isArray(value)) {
      throw new InvalidRequest(
        'prompt: must be a string, an array of strings, an array of token ids, or an array of arrays of token ids',
        'prompt',
      );
    }
    const list: readonly unknown[] = value;
    if (list.length === 0) throw empty('prompt');
    if (typeof list[0] === 'number') return [this.checkPromptIds(list, 'prompt', options)];
    if (list.length > PROMPTS_PER_REQUEST) {
      throw new InvalidRequest(
        `prompt: must have at most ${PROMPTS_PER_REQUEST} prompts, got ${list.length}`,
        'prompt',
      );
    }
    return list.map((item, i) => {
      const param = `prompt[${i}]`;
      return Array.isArray(item) ? this.checkPromptIds(item, param, options) : this.checkText(item, param, options);
    });
  }

  private checkText(text: unknown, param: string, { truncate_prompt_tokens: most }: ReadingOptions): CheckedPrompt {
    if (typeof text !== 'string')
      throw new InvalidRequest(`${param}: must be a string or an array of token ids`, param);
    if (text === '') throw empty(param);
    if (most === undefined) this.checkSize(Buffer.byteLength(text), param);
    return { type: 'text', text, param };
  }

  private checkPromptIds(ids: readonly unknown[], param: string, options: ReadingOptions): CheckedPrompt {
    const contextTokens = mostTokens(options, this.model.contextTokens);
    if (ids.length === 0) throw empty(param);
    if (ids.length > contextTokens) {
      throw contextLengthExceeded(`${param}: has ${ids.length} tokens; the model's context is ${contextTokens}`, param);
    }
    this.checkIds(ids, param);
    return { type: 'ids', tokens: Uint32Array.from(ids), param };
  }

  private async readChecked(prompt: CheckedPrompt, options: ReadingOptions, caller: TextCaller): Promise<Prompt> {
    const { param } = prompt;
    const { text, contextTokens } = this.model;
    if (prompt.type === 'ids') {
      const tokens = truncated(prompt.tokens, options);
      return { tokens, text: options.withText ? await text.decode(tokens, { param }, caller) : null, param };
    }
    const textOptions = {
      param,
      addSpecialTokens: options.add_special_tokens ?? true,
      parseSpecial: options.parse_special ?? true,
      mostTokens: mostTokens(options, contextTokens),
    };
    return this.promptOf(await text.encode(prompt.text, textOptions, caller), prompt.text, param, options);
  }

  private promptOf(encoded: EncodedText, text: string | null, param: string, options: ReadingOptions): Prompt {
    if (encoded.type === 'too-long') throw this.tooLong(encoded.atLeastTokens, param);
    if (encoded.tokens.length === 0) throw text === null ? noText(param) : empty(param);
    return { tokens: truncated(encoded.tokens, options), text, param };
  }

  /** A text that cannot fit the context is refused without being converted. */
  private checkSize(bytes: number, param: string): void {
    if (bytes <= this.model.contextTokens * this.bytesPerToken) return;
    throw this.tooLong(Math.floor(bytes / this.bytesPerToken), param);
  }

  private tooLong(atLeastTokens: number, param: string): Error {
    const { contextTokens } = this.model;
    return contextLengthExceeded(
      `${param}: has at least ${atLeastTokens} tokens; the model's context is ${contextTokens}`,
      param,
    );
  }
}

/** A prompt that is cut may be longer than the context. */
function mostTokens({ truncate_prompt_tokens: most }: ReadingOptions, contextTokens: number): number {
  return most === undefined ? contextTokens : PROMPT_TOKENS;
}

function truncated(
  tokens: Uint32Array,
  { truncate_prompt_tokens: most, truncation_side: side }: ReadingOptions,
): Uint32Array {
  if (most === undefined || tokens.length <= most) return tokens;
  return side === 'right' ? tokens.slice(0, most) : tokens.slice(-most);
}

function checkChoices(prompts: number, n: number): void {
  if (prompts * n <= CHOICES_PER_REQUEST) return;
  throw new InvalidRequest(
    `n: ${n} choices for each of ${prompts} prompts; must be at most ${CHOICES_PER_REQUEST} in total`,
    'n',
  );
}

function noText(param: string): InvalidRequest {
  return new InvalidRequest(
    `${param}: the model's chat template makes no text of these messages; add a message of the user`,
    param,
  );
}

function empty(param: string): InvalidRequest {
  return new InvalidRequest(`${param}: must not be empty`, param);
}
