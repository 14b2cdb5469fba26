import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { specialToken, tokenId } from './special-token.js';

/** Finds the tokens that end an answer, which several files of a model folder may name. */

/** The files. */
export interface EndTokenSources {
  readonly generationConfig: Readonly<Record<string, unknown>>;
  readonly config: Readonly<Record<string, unknown>>;
  readonly tokenizerConfig: Readonly<Record<string, unknown>>;
  readonly tokenizerPath: string;
}

/** One id or several. A negative id means none, as in transformers. */
const EndTokenIds = z
  .union([z.int().transform((id) => [id]), z.array(z.int())])
  .transform((ids) => ids.filter((id) => id >= 0))
  .catch([]);
const TextConfig = z.looseObject({ eos_token_id: z.unknown() }).catch({ eos_token_id: null });
const AddedTokens = z.record(z.string(), z.looseObject({ content: z.string() })).catch({});

/**
 * The ids of all tokens that one of the files names as the end. Models differ in the file that has the token with which a turn of a chat ends,
 * and one of the files may be left over from the base model.
 */
export async function endTokenIds(sources: EndTokenSources): Promise<number[]> {
  const { generationConfig, config } = sources;
  const { eos_token_id: ofText } = TextConfig.parse(config.text_config);
  const named = [generationConfig.eos_token_id, config.eos_token_id, ofText].flatMap((ids) => EndTokenIds.parse(ids));
  const ofTokenizer = await idOfTokenizer(sources);
  return [...new Set(ofTokenizer === null ? named : [...named, ofTokenizer])];
}

/**
 * The id of tokenizer_config.json's `eos_token`. The vocabulary, which may be large, is read only if that file lacks the id. A damaged
 * vocabulary is reported when the tokenizer is loaded.
 */
async function idOfTokenizer({ tokenizerConfig, tokenizerPath }: EndTokenSources): Promise<number | null> {
  const text = specialToken(tokenizerConfig, 'eos_token');
  if (text === null) return null;
  const added = AddedTokens.parse(tokenizerConfig.added_tokens_decoder);
  const known = Object.keys(added).find((id) => added[id]!.content === text);
  if (known !== undefined) return Number(known);
  const json = await readFile(tokenizerPath, 'utf8')
    .then(JSON.parse)
    .catch(() => null);
  return tokenId(json, text);
}
