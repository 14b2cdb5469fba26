import type { SamplingDefaults } from '../../src/model/generation-config.js';
import type { AdapterRef } from '../../src/protocol/adapter.js';
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

/** An adapter of the model that clients request by its own name. */
export interface ServedAdapter {
  readonly ref: AdapterRef;
  /** Unix time in seconds. */
  readonly createdAt: number;
}

/** The adapters that are served. They may change while the process runs. */
export interface ServedAdapters {
  find(name: string): ServedAdapter | null;
  list(): readonly ServedAdapter[];
}

/** Of a model that takes none. */
export const NO_ADAPTERS: ServedAdapters = { find: () => null, list: () => [] };

export interface ServedModel {
  readonly name: string;
  /** Other names that clients may use for it. */
  readonly aliases: readonly string[];
  readonly adapters: ServedAdapters;
  readonly tokenizer: TextTokenizer;
  /** The tokenizer's description for clients. */
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

/**
 * The adapter of a name; null for the model's own names. No name means the model.
 * @throws ApiError 404 for an unknown name
 */
export function adapterNamed(model: ServedModel, name: string | undefined): AdapterRef | null {
  if (name === undefined || name === model.name || model.aliases.includes(name)) return null;
  const adapter = model.adapters.find(name);
  if (adapter !== null) return adapter.ref;
  throw new ApiError(404, `model: no model '${name}'; this fleet serves '${model.name}'`, {
    param: 'model',
    code: 'model_not_found',
  });
}
