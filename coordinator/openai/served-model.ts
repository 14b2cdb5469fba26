import type { SamplingDefaults } from '../../src/model/folder.js';
import type { TokenDecoder } from '../../src/text/token-decoder.js';
import { ApiError } from './api-error.js';
import type { RequestMessage } from './requests.js';

/** What the HTTP surface needs of a tokenizer. */
export interface TextTokenizer extends TokenDecoder {
  readonly vocabSize: number;
  encode(text: string, options: { addSpecialTokens: boolean }): number[];
  /** What a token adds to a text, which may be a part of a character. */
  tokenBytes(id: number): Uint8Array;
}

/** Turns a chat into a prompt. Throws `InvalidRequest` for messages that the template refuses. */
interface ChatRenderer {
  render(messages: RequestMessage[], options: { addGenerationPrompt: boolean }): string;
}

/** The model behind the API. */
export interface ServedModel {
  readonly name: string;
  /** Other names that clients may use for it. */
  readonly aliases: readonly string[];
  readonly tokenizer: TextTokenizer;
  /** Null for a model that does not chat. */
  readonly template: ChatRenderer | null;
  /** Longest sequence, prompt and answer together. */
  readonly contextTokens: number;
  /** What its makers advise, for what a request does not say. */
  readonly defaults: SamplingDefaults;
  /** Seconds since 1970. */
  readonly createdAt: number;
}

/** Throws a 404 unless `name` is a name of the model. No name means the model there is. */
export function checkModelName(model: ServedModel, name: string | undefined): void {
  if (name === undefined || name === model.name || model.aliases.includes(name)) return;
  throw new ApiError(404, `There is no model '${name}' here: this fleet serves '${model.name}'.`, {
    param: 'model',
    code: 'model_not_found',
  });
}
