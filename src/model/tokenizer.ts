import { readFile } from 'node:fs/promises';
import { Tokenizer as Library } from '@huggingface/tokenizers';
import { z } from 'zod';
import { InvalidRequest, Refused } from '../errors.js';
import { CHAR_BYTES } from './byte-chars.js';
import type { ModelFolder } from './folder.js';

/** Converts text to token ids and back; the only file that imports @huggingface/tokenizers. */

export interface EncodeOptions {
  /** Whether to add the tokens that the model expects around a text, such as a begin token. Default: true. */
  readonly addSpecialTokens?: boolean;
}

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
    pattern: z.looseObject({ String: z.string().optional() }).optional(),
    content: z.string().optional(),
    replacement: z.string().optional(),
  }),
);
interface Component {
  type: string;
  decoders?: Component[] | undefined;
  pattern?: { String?: string | undefined } | undefined;
  content?: string | undefined;
  replacement?: string | undefined;
}
const TokenizerFile = z.looseObject({
  model: z.looseObject({ type: z.string().optional() }),
  decoder: Component.nullish(),
});

const utf8 = new TextEncoder();

/** The tokenizer of a model, from its tokenizer.json. */
export class Tokenizer {
  /** Token ids are less than this. It is the number of the model's embeddings, and may exceed the number of tokens. */
  readonly vocabSize: number;
  readonly specialIds: ReadonlySet<number>;
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
    this.vocabSize = modelVocabSize;
  }

  /**
   * Loads the tokenizer of a model folder.
   * @throws Refused if its tokenizer.json is damaged, or of a kind whose tokens have no exact bytes
   */
  static async load(folder: ModelFolder): Promise<Tokenizer> {
    try {
      const json: unknown = JSON.parse(await readFile(folder.tokenizerPath, 'utf8'));
      const { decoder } = TokenizerFile.parse(json);
      const form = decoder ? byteForm(decoder) : null;
      if (!decoder || !form)
        throw new Refused(
          `cannot load ${folder.tokenizerPath}: only byte-level and byte-fallback vocabularies are supported`,
        );
      return new Tokenizer(new Library(json as object, folder.tokenizerConfig), decoder, form, folder.config.vocabSize);
    } catch (error) {
      if (error instanceof Refused) throw error;
      throw new Refused(`cannot load ${folder.tokenizerPath}: it is not a tokenizer; fetch it again`, { cause: error });
    }
  }

  /** Converts text to token ids. Lone surrogates become U+FFFD. */
  encode(text: string, options: EncodeOptions = {}): number[] {
    const encoding = this.library.encode(text, { add_special_tokens: options.addSpecialTokens ?? true });
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
    const bytes = this.addedIds.has(id)
      ? utf8.encode(text)
      : this.form === 'byte-level'
        ? byteLevelBytes(text)
        : this.fallbackBytes(text);
    this.bytes[id] = bytes;
    return bytes;
  }

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

function flatten(decoder: Component): Component[] {
  return decoder.decoders ? decoder.decoders.flatMap(flatten) : [decoder];
}

function byteForm(decoder: Component): ByteForm | null {
  const types = flatten(decoder).map((part) => part.type);
  if (types.includes('ByteLevel')) return 'byte-level';
  return types.includes('ByteFallback') || types.includes('Metaspace') ? 'byte-fallback' : null;
}

/** Characters that represent no byte occur only in damaged vocabularies, and are encoded as themselves. */
function byteLevelBytes(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const char of text) {
    const byte = CHAR_BYTES.get(char);
    if (byte === undefined) bytes.push(...utf8.encode(char));
    else bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}
