import { InvalidRequest } from '../../src/errors.js';
import { contextLengthExceeded } from './api-error.js';
import type { ExplainRequest, RequestMessage } from './requests.js';
import type { ServedModel } from './served-model.js';

/** Turns the prompts of requests into token ids. */

/** Prompts in one completion request. */
const PROMPTS_PER_REQUEST = 64;

export interface Prompt {
  readonly tokens: Uint32Array;
  /** The client's text; null if it sent token ids. */
  readonly text: string | null;
  /** The field it came from. */
  readonly param: string;
}

/** The three forms of a prompt in requests about the cache. */
type PromptFields = Pick<ExplainRequest, 'prompt' | 'messages' | 'tokens'>;

/** Upper bound on the factor by which a tokenizer's normalizer shortens a text. */
const NORMALIZER_SHRINKS_BY = 4;

/** Reads prompts in every form that the API accepts. */
export class PromptReader {
  private readonly model: ServedModel;
  /** Bytes of text per token, at most. */
  private readonly bytesPerToken: number;

  constructor(model: ServedModel) {
    this.model = model;
    let longest = 1;
    for (let id = 0; id < model.tokenizer.vocabSize; id++) {
      longest = Math.max(longest, model.tokenizer.tokenBytes(id).byteLength);
    }
    this.bytesPerToken = longest * NORMALIZER_SHRINKS_BY;
  }

  /** Reads one or several prompts, as strings or token ids. Throws `InvalidRequest` or `ApiError` that names the first wrong prompt. */
  async readPrompts(value: unknown): Promise<Prompt[]> {
    if (typeof value === 'string') return [this.readText(value, 'prompt')];
    if (!Array.isArray(value)) {
      throw new InvalidRequest(
        'prompt: must be a string, an array of strings, an array of token ids, or an array of arrays of token ids',
        'prompt',
      );
    }
    const list: readonly unknown[] = value;
    if (list.length === 0) throw empty('prompt');
    if (typeof list[0] === 'number') return [this.readIds(list, 'prompt')];
    if (list.length > PROMPTS_PER_REQUEST) {
      throw new InvalidRequest(
        `prompt: must have at most ${PROMPTS_PER_REQUEST} prompts; has ${list.length}`,
        'prompt',
      );
    }
    const prompts: Prompt[] = [];
    for (const [i, item] of list.entries()) {
      const param = `prompt[${i}]`;
      prompts.push(Array.isArray(item) ? this.readIds(item, param) : this.readText(item, param));
      // Tokenizing is CPU-bound: yield to other requests between prompts.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return prompts;
  }

  /** Reads the prompt of a request that has it in exactly one of three fields. `addGenerationPrompt` is for messages only. */
  readPrompt({ prompt, messages, tokens }: PromptFields, addGenerationPrompt = true): Prompt {
    const given = [prompt, messages, tokens].filter((value) => value !== undefined).length;
    if (given !== 1)
      throw new InvalidRequest('prompt: exactly one of prompt, messages and tokens is required', 'prompt');
    if (messages !== undefined) return this.readMessages(messages, { addGenerationPrompt });
    if (prompt !== undefined) return this.readText(prompt, 'prompt');
    if (!Array.isArray(tokens)) throw new InvalidRequest('tokens: must be an array of token ids', 'tokens');
    return this.readIds(tokens, 'tokens');
  }

  /** Tokenizes a text, by default with the model's special tokens around it. */
  readText(text: unknown, param: string, addSpecialTokens = true): Prompt {
    if (typeof text !== 'string')
      throw new InvalidRequest(`${param}: must be a string or an array of token ids`, param);
    if (text === '') throw empty(param);
    this.checkSize(text, param);
    const tokens = Uint32Array.from(this.model.tokenizer.encode(text, { addSpecialTokens }));
    if (tokens.length === 0) throw empty(param);
    return { tokens, text, param };
  }

  /** Checks a prompt given as token ids. */
  readIds(ids: readonly unknown[], param: string): Prompt {
    const { contextTokens } = this.model;
    if (ids.length === 0) throw empty(param);
    if (ids.length > contextTokens) {
      throw contextLengthExceeded(`${param}: has ${ids.length} tokens; the model's context is ${contextTokens}`, param);
    }
    this.checkIds(ids, param);
    return { tokens: Uint32Array.from(ids), text: null, param };
  }

  /** Renders a chat, by default up to the start of the assistant's answer. */
  readMessages(messages: RequestMessage[], { addGenerationPrompt = true, addSpecialTokens = false } = {}): Prompt {
    if (this.model.template === null) {
      throw new InvalidRequest('messages: the model has no chat template; use /v1/completions', 'messages');
    }
    const text = this.model.template.render(messages, { addGenerationPrompt });
    return this.readText(text, 'messages', addSpecialTokens);
  }

  /** Throws `InvalidRequest` unless all of `ids` are token ids of the model. */
  checkIds(ids: readonly unknown[], param: string): asserts ids is readonly number[] {
    const { vocabSize } = this.model.tokenizer;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i];
      if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < vocabSize) continue;
      const at = `${param}[${i}]`;
      throw new InvalidRequest(`${at}: must be a token id from 0 to ${vocabSize - 1}`, at);
    }
  }

  /** A text that cannot fit the context is refused without being tokenized. */
  private checkSize(text: string, param: string): void {
    const bytes = Buffer.byteLength(text);
    const { contextTokens } = this.model;
    if (bytes <= contextTokens * this.bytesPerToken) return;
    const tokens = Math.floor(bytes / this.bytesPerToken);
    throw contextLengthExceeded(
      `${param}: has at least ${tokens} tokens; the model's context is ${contextTokens}`,
      param,
    );
  }
}

function empty(param: string): InvalidRequest {
  return new InvalidRequest(`${param}: must not be empty`, param);
}
