import type { SamplingDefaults } from '../../src/model/generation-config.js';
import type { TextWork } from '../../src/text/text-work.js';
import type { TokenDecoder } from '../../src/text/token-decoder.js';
import { ApiError } from './api-error.js';
import type { MessageFormat } from './message/message-format.js';

/** The model behind the API, as the HTTP layer sees it. */

/** The part of a tokenizer whose cost a token bounds. */
export interface TextTokenizer extends TokenDecoder {
  readonly vocabSize: number;
  /** The bytes that a token adds to a text; they may end within a character. */
  tokenBytes(id: number): Uint8Array;
}

export interface ServedModel {
  readonly name: string;
  /** Other names that clients may use for it. */
  readonly aliases: readonly string[];
  readonly tokenizer: TextTokenizer;
  /** What clients learn of the tokenizer. */
  readonly tokenizerInfo: Readonly<Record<string, unknown>>;
  /** How its answers are read as messages. */
  readonly message: MessageFormat;
  /** Everything else that concerns texts. */
  readonly text: TextWork;
  /** Maximum length of prompt and answer together, in tokens. May change while the process runs. */
  readonly contextTokens: number;
  /** Defaults of the model's own `generation_config.json`, for fields that a request omits. */
  readonly defaults: SamplingDefaults;
  /** Unix time in seconds. */
  readonly createdAt: number;
}

/** Throws a 404 unless `name` is the model's name or an alias. No name means this model. */
export function checkModelName(model: ServedModel, name: string | undefined): void {
  if (name === undefined || name === model.name || model.aliases.includes(name)) return;
  throw new ApiError(404, `model: no model '${name}'; this fleet serves '${model.name}'`, {
    param: 'model',
    code: 'model_not_found',
  });
}
