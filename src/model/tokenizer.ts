import { readFile } from 'node:fs/promises';
import { Tokenizer as Library } from '@huggingface/tokenizers';
import { z } from 'zod';
import { InvalidRequest, Refused } from '../errors.js';
import { type AddedTokenLibrary, useExactTokens } from './added-tokens.js';
import { CHAR_BYTES } from './byte-chars.js';
import { withEdgeTokens } from './edge-tokens.js';
import { type NormalizerLibrary, useExactNormalizers } from './exact-normalizers.js';
import { type DividerForm, type PieceLibrary, useExactPieces } from './exact-pieces.js';
import type { ModelFolder } from './folder.js';
import { type EncodingLibrary, guardedEncoder } from './guarded-encoder.js';
import { fromOniguruma } from './oniguruma.js';
import { NO_SHADOWS, type Shadows, SpecialGuard } from './special-guard.js';
import { type BlankLibrary, useUnicodeBlanks } from './unicode-blanks.js';
import { checkVocabulary } from './vocabulary-check.js';

/** Converts text to token ids and back; the only file that imports @huggingface/tokenizers. */

export interface EncodeOptions {
  /** Whether to add the tokens that the model expects around a text, such as a begin token. Default: true. */
  readonly addSpecialTokens?: boolean;
  /** The shadows in the text, which are taken away once special tokens have been found. Default: none. */
  readonly shadows?: Shadows;
  /** Encoding stops with `TextTooLong` once the text is known to have more tokens than this. Default: no limit. */
  readonly mostTokens?: number;
  /** Called every few thousand tokens; encoding stops if it throws. */
  readonly onProgress?: () => void;
}

/** The text has more tokens than allowed. */
export class TextTooLong extends InvalidRequest {
  constructor(readonly atLeastTokens: number) {
    super(`the text has at least ${atLeastTokens} tokens`);
  }
}

/** The part of a model folder that a tokenizer comes from. */
export type TokenizerSource = Pick<ModelFolder, 'tokenizerPath' | 'tokenizerConfig'> & {
  readonly config: Pick<ModelFolder['config'], 'vocabSize'>;
};

export interface DecodeOptions {
  /** Whether to leave out special tokens. Default: false. */
  readonly skipSpecialTokens?: boolean;
}

/** How a vocabulary represents bytes: each as a printable character, or as text with `<0xNN>` for bytes without a token. */
type ByteForm = 'byte-level' | 'byte-fallback';

const Component: z.ZodType<Component> = z.lazy(() =>
  z.looseObject({
    type: z.string(),
    decoders: z.array(Component).optional(),
    pattern: z.looseObject({ String: z.string().optional(), Regex: z.string().optional() }).optional(),
    content: z.string().optional(),
    replacement: z.string().optional(),
    prepend_scheme: z.string().optional(),
  }),
);
interface Component {
  type: string;
  decoders?: Component[] | undefined;
  pattern?: { String?: string | undefined; Regex?: string | undefined } | undefined;
  content?: string | undefined;
  replacement?: string | undefined;
  prepend_scheme?: string | undefined;
}
const TokenizerFile = z.looseObject({
  model: z.looseObject({
    ...{ type: z.string().optional(), vocab: z.unknown().optional(), merges: z.unknown().optional() },
    byte_fallback: z.unknown().optional(),
  }),
  added_tokens: z.unknown().optional(),
  pre_tokenizer: z.unknown(),
  post_processor: z.unknown(),
  decoder: Component.nullish(),
});

const utf8 = new TextEncoder();

/** The tokenizer of a model, from its tokenizer.json. */
export class Tokenizer {
  /** Token ids are less than this. It is the number of the model's embeddings, and may exceed the number of tokens. */
  readonly vocabSize: number;
  readonly specialIds: ReadonlySet<number>;
  /** Keeps the special tokens out of texts of clients. */
  readonly guard: SpecialGuard;
  private readonly specials: readonly string[];
  /** See `GuardedOptions.charsPerToken`. */
  private readonly charsPerToken: number | null;
  private readonly addedIds: ReadonlySet<number>;
  /** Cached results of `tokenBytes`, by token id. */
  private readonly bytes: (Uint8Array | undefined)[] = [];

  private constructor(
    private readonly library: Library,
    private readonly decoder: Component,
    private readonly form: ByteForm,
    modelVocabSize: number,
  ) {
    const added = library.get_added_tokens_decoder();
    this.addedIds = new Set(added.keys());
    this.specialIds = new Set([...added].filter(([, token]) => token.special).map(([id]) => id));
    const tokens = [...added.values()];
    this.specials = tokens.filter((token) => token.special).map((token) => token.content);
    this.guard = new SpecialGuard(
      this.specials,
      tokens.filter((token) => !token.special).map((token) => token.content),
    );
    this.charsPerToken = charsPerToken(library, this.addedIds);
    this.vocabSize = modelVocabSize;
  }

  /**
   * Loads the tokenizer of a model folder.
   * @throws Refused if its tokenizer.json is damaged, or of a kind whose tokens have no exact bytes
   */
  static load(folder: TokenizerSource): Promise<Tokenizer> {
    return Tokenizer.open(folder, (json) => withEdgeTokens(json, folder.tokenizerConfig));
  }

  /**
   * Loads only what decoding needs, which takes a fraction of the memory and runs no regular expression of the model.
   * @throws Refused as `load` does
   */
  static loadDecoder(folder: TokenizerSource): Promise<Omit<Tokenizer, 'encode'>> {
    return Tokenizer.open(folder, (json) => ({ ...json, ...NO_ENCODING, model: { ...json.model, merges: [] } }));
  }

  private static async open(
    folder: TokenizerSource,
    prepare: (json: z.infer<typeof TokenizerFile>) => object,
  ): Promise<Tokenizer> {
    try {
      const json = TokenizerFile.parse(JSON.parse(await readFile(folder.tokenizerPath, 'utf8')));
      checkVocabulary(json, folder.tokenizerPath, folder.config.vocabSize);
      const { decoder } = json;
      const form = decoder ? byteForm(decoder) : null;
      if (!decoder || !form)
        throw new Refused(
          `cannot load ${folder.tokenizerPath}: only byte-level and byte-fallback vocabularies are supported`,
        );
      if (flatten(decoder).some(({ pattern }) => pattern?.Regex !== undefined))
        throw new Refused(
          `cannot load ${folder.tokenizerPath}: its decoder has a regular expression; only strings are supported`,
        );
      const ready = withOwnPatterns(prepare({ ...json, decoder: withoutStrip(decoder) })) as typeof json;
      const library = new Library(ready, { ...folder.tokenizerConfig, ...NO_SLOW_OPTIONS });
      useUnicodeBlanks(library as unknown as BlankLibrary);
      useExactNormalizers(library as unknown as NormalizerLibrary);
      const { type, byte_fallback } = json.model;
      const hasByteFallback = type === 'Unigram' && byte_fallback === true;
      useExactPieces(library as unknown as PieceLibrary, ready.pre_tokenizer as DividerForm | null, hasByteFallback);
      useExactTokens(library as unknown as AddedTokenLibrary);
      return new Tokenizer(library, decoder, form, folder.config.vocabSize);
    } catch (error) {
      if (error instanceof Refused) throw error;
      throw new Refused(`cannot load ${folder.tokenizerPath}: ${whyUnloadable(error)}`, {
        cause: error,
      });
    }
  }

  /**
   * Converts text to token ids. Lone surrogates become U+FFFD.
   * @throws TextTooLong once the text is known to have more than `mostTokens`
   */
  encode(text: string, options: EncodeOptions = {}): number[] {
    const { shadows = NO_SHADOWS, mostTokens = Number.POSITIVE_INFINITY, onProgress } = options;
    const encoder = guardedEncoder(this.library as unknown as EncodingLibrary, {
      shadows,
      specials: shadows === NO_SHADOWS ? [] : this.specials,
      charsPerToken: this.charsPerToken,
      onLength: (atLeastTokens) => {
        onProgress?.();
        if (atLeastTokens > mostTokens) throw new TextTooLong(atLeastTokens);
      },
    });
    const encoding = encoder.encode(text, { add_special_tokens: options.addSpecialTokens ?? true });
    const ids: (number | undefined)[] = encoding.ids;
    if (!ids.every((id) => id !== undefined)) {
      throw new InvalidRequest("prompt: has characters for which the model's vocabulary has no tokens", 'prompt');
    }
    return ids;
  }

  /**
   * Converts token ids to text. Invalid UTF-8 becomes U+FFFD.
   * @throws InvalidRequest for an id that the model does not have
   */
  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    const known = ids.filter((id) => this.tokenText(id) !== '');
    if (known.length === 0) return '';
    return this.library.decode(known, {
      skip_special_tokens: options.skipSpecialTokens ?? false,
      clean_up_tokenization_spaces: false,
    });
  }

  /**
   * A token as its vocabulary writes it; '' for an id that the model has but the vocabulary does not.
   * @throws InvalidRequest for an id that the model does not have
   */
  tokenText(id: number): string {
    if (!Number.isInteger(id) || id < 0 || id >= this.vocabSize) {
      throw new InvalidRequest(
        `prompt: token ${id} is not in the model's vocabulary; ids are 0 to ${this.vocabSize - 1}`,
        'prompt',
      );
    }
    return this.library.id_to_token(id) ?? '';
  }

  /**
   * The bytes that a token adds to a text. A character may be split over tokens, so the bytes of one token may not be valid UTF-8.
   * @returns a cached array, which must not be changed
   * @throws InvalidRequest for an id that the model does not have
   */
  tokenBytes(id: number): Uint8Array {
    const known = this.bytes[id];
    if (known) return known;
    const text = this.tokenText(id);
    const bytes = this.form === 'byte-fallback' ? this.fallbackBytes(text) : this.byteLevelBytes(id, text);
    this.bytes[id] = bytes;
    return bytes;
  }

  private byteLevelBytes(id: number, text: string): Uint8Array {
    return this.addedIds.has(id) ? utf8.encode(text) : bytesOfChars(text);
  }

  /** Added tokens may encode blanks too: Gemma 3 has one for each number of blanks in a row. */
  private fallbackBytes(text: string): Uint8Array {
    const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(text)?.[1];
    if (hex) return Uint8Array.of(Number.parseInt(hex, 16));
    let plain = text;
    for (const { type, pattern, content, replacement } of flatten(this.decoder)) {
      if (type === 'Replace' && pattern?.String) plain = plain.replaceAll(pattern.String, content ?? '');
      else if (type === 'Metaspace') plain = plain.replaceAll(replacement ?? '▁', ' ');
    }
    return utf8.encode(plain);
  }
}

/** The errors of the library and the parsers are often about their own code, but they name types that are not supported. */
function whyUnloadable(error: unknown): string {
  if (error instanceof SyntaxError && !error.message.includes('regular expression'))
    return 'it is not JSON; fetch it again';
  if (error instanceof z.ZodError || error instanceof TypeError || !(error instanceof Error))
    return 'it is not a tokenizer; fetch it again';
  return `it is not a supported tokenizer: ${error.message}; use another model`;
}

/** Options of the tokenizers in Python, which the library takes for those of tokenizer.json. */
const NO_SLOW_OPTIONS = { remove_space: false, do_lowercase_and_remove_accent: false };

/** The same contents with the regular expressions of normalizers and pre-tokenizers in JavaScript's form. */
function withOwnPatterns(json: object): object {
  const { normalizer, pre_tokenizer } = json as { normalizer?: unknown; pre_tokenizer?: unknown };
  // With a normalizer, the library looks for tokens with `normalized` after the others, as it should always.
  const own = ownPatterns(normalizer) ?? { type: 'Sequence', normalizers: [] };
  return { ...json, normalizer: own, pre_tokenizer: ownPatterns(pre_tokenizer) };
}

function ownPatterns(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(ownPatterns);
  if (typeof part !== 'object' || part === null) return part;
  const entries = Object.entries(part).map(([name, value]) => [
    name,
    name === 'Regex' && typeof value === 'string' ? fromOniguruma(value) : ownPatterns(value),
  ]);
  return Object.fromEntries(entries);
}

/** The parts of a tokenizer.json that only encoding needs, emptied. */
const NO_ENCODING = { normalizer: null, pre_tokenizer: null, post_processor: null };

/** The length of the longest token of a BPE vocabulary. Other vocabularies have an unknown token, which can replace text of any length. */
function charsPerToken(library: Library, added: ReadonlySet<number>): number | null {
  const { model } = library as unknown as EncodingLibrary;
  if (model.fuse_unk || !('bpe_ranks' in model)) return null;
  let longest = 1;
  for (const [token, id] of model.tokens_to_ids) if (!added.has(id)) longest = Math.max(longest, token.length);
  return longest;
}

function flatten(decoder: Component): Component[] {
  return decoder.decoders ? decoder.decoders.flatMap(flatten) : [decoder];
}

/** A decoder that keeps a text's first blank, which the library would drop. */
function withoutStrip(decoder: Component): Component {
  if (decoder.decoders) return { ...decoder, decoders: decoder.decoders.map(withoutStrip) };
  if (decoder.type !== 'Metaspace' || decoder.prepend_scheme !== 'never') return decoder;
  return { type: 'Replace', pattern: { String: decoder.replacement ?? '▁' }, content: ' ' };
}

function byteForm(decoder: Component): ByteForm | null {
  const types = flatten(decoder).map((part) => part.type);
  if (types.includes('ByteLevel')) return 'byte-level';
  return types.includes('ByteFallback') || types.includes('Metaspace') ? 'byte-fallback' : null;
}

/** Characters that represent no byte occur only in damaged vocabularies, and are encoded as themselves. */
function bytesOfChars(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const char of text) {
    const byte = CHAR_BYTES.get(char);
    if (byte === undefined) bytes.push(...utf8.encode(char));
    else bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}
