import { InvalidRequest } from '../../src/errors.js';
import { contextLengthExceeded } from './api-error.js';
import type { RequestMessage } from './requests.js';
import type { ServedModel } from './served-model.js';

/** Prompts in one completion request. */
const PROMPTS_PER_REQUEST = 64;

export interface Prompt {
  readonly tokens: Uint32Array;
  /** As the client wrote it; null if it sent token ids. */
  readonly text: string | null;
  /** The field of the request that it came from. */
  readonly param: string;
}

/** A normalizer may shorten a text before it becomes tokens; by no more than this. */
const NORMALIZER_SHRINKS_BY = 4;

/** Turns what clients send as a prompt into token ids. */
export class PromptReader {
  private readonly model: ServedModel;
  /** A longer text can't fit the context, so it need not be tokenized to be refused. */
  private readonly longestTextBytes: number;

  constructor(model: ServedModel) {
    this.model = model;
    let longest = 1;
    for (let id = 0; id < model.tokenizer.vocabSize; id++) {
      longest = Math.max(longest, model.tokenizer.tokenBytes(id).byteLength);
    }
    this.longestTextBytes = model.contextTokens * longest * NORMALIZER_SHRINKS_BY;
  }

  /** One or several prompts, as texts or as token ids. Throws what is wrong with which of them. */
  async readPrompts(value: unknown): Promise<Prompt[]> {
    if (typeof value === 'string') return [this.readText(value, 'prompt')];
    if (!Array.isArray(value)) {
      throw new InvalidRequest(
        'prompt: must be a text, a list of texts, a list of token ids or a list of such lists.',
        'prompt',
      );
    }
    const list: readonly unknown[] = value;
    if (list.length === 0) throw empty('prompt');
    if (typeof list[0] === 'number') return [this.readIds(list, 'prompt')];
    if (list.length > PROMPTS_PER_REQUEST) {
      throw new InvalidRequest(
        `prompt: must have at most ${PROMPTS_PER_REQUEST} prompts, and has ${list.length}.`,
        'prompt',
      );
    }
    const prompts: Prompt[] = [];
    for (const [i, item] of list.entries()) {
      const param = `prompt[${i}]`;
      prompts.push(Array.isArray(item) ? this.readIds(item, param) : this.readText(item, param));
      // Tokenizing takes its time: others have their turn in between.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return prompts;
  }

  /** A text, with the special tokens that the model wants around it. */
  readText(text: unknown, param: string, addSpecialTokens = true): Prompt {
    if (typeof text !== 'string') throw new InvalidRequest(`${param}: must be a text or a list of token ids.`, param);
    if (text === '') throw empty(param);
    this.checkSize(text, param);
    const tokens = Uint32Array.from(this.model.tokenizer.encode(text, { addSpecialTokens }));
    if (tokens.length === 0) throw empty(param);
    return { tokens, text, param };
  }

  /** Token ids, each in the vocabulary. */
  readIds(ids: readonly unknown[], param: string): Prompt {
    const { contextTokens } = this.model;
    if (ids.length === 0) throw empty(param);
    if (ids.length > contextTokens) {
      throw contextLengthExceeded(
        `${param}: has ${ids.length} tokens, and the model's context ${contextTokens}.`,
        param,
      );
    }
    this.checkIds(ids, param);
    return { tokens: Uint32Array.from(ids), text: null, param };
  }

  /** A chat, up to where the model's answer begins unless told otherwise. */
  readMessages(messages: RequestMessage[], { addGenerationPrompt = true, addSpecialTokens = false } = {}): Prompt {
    if (this.model.template === null) {
      throw new InvalidRequest('messages: this model has no chat template; use /v1/completions.', 'messages');
    }
    const text = this.model.template.render(messages, { addGenerationPrompt });
    return this.readText(text, 'messages', addSpecialTokens);
  }

  /** Throws unless each is a token id of the model. */
  checkIds(ids: readonly unknown[], param: string): asserts ids is readonly number[] {
    const { vocabSize } = this.model.tokenizer;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i];
      if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < vocabSize) continue;
      const at = `${param}[${i}]`;
      throw new InvalidRequest(`${at}: must be a token id, 0 to ${vocabSize - 1}.`, at);
    }
  }

  private checkSize(text: string, param: string): void {
    const bytes = Buffer.byteLength(text);
    if (bytes <= this.longestTextBytes) return;
    const { contextTokens } = this.model;
    const tokens = Math.floor((bytes / this.longestTextBytes) * contextTokens);
    throw contextLengthExceeded(
      `${param}: has at least ${tokens} tokens, and the model's context ${contextTokens}.`,
      param,
    );
  }
}

function empty(param: string): InvalidRequest {
  return new InvalidRequest(`${param}: must not be empty.`, param);
}
