import { z } from 'zod';

/** Special tokens by their role, as tokenizer_config.json names them. */

export type SpecialTokenRole = 'bos_token' | 'eos_token' | 'unk_token' | 'pad_token';

const SpecialToken = z.union([z.string(), z.looseObject({ content: z.string() }).transform((token) => token.content)]);

/** The text of the token with this role; null if the model has none. */
export function specialToken(
  tokenizerConfig: Readonly<Record<string, unknown>>,
  role: SpecialTokenRole,
): string | null {
  return SpecialToken.nullable()
    .catch(null)
    .parse(tokenizerConfig[role] ?? null);
}

const TokenizerVocabulary = z.looseObject({
  added_tokens: z.array(z.looseObject({ id: z.int().min(0), content: z.string() })).optional(),
  model: z.looseObject({ vocab: z.unknown() }).optional(),
});

/** The id of a token in the contents of a tokenizer.json; null if it is not there. */
export function tokenId(tokenizerJson: unknown, text: string): number | null {
  const parsed = TokenizerVocabulary.safeParse(tokenizerJson);
  if (!parsed.success) return null;
  const { added_tokens: added = [], model } = parsed.data;
  const id = added.find(({ content }) => content === text)?.id ?? ownValue(model?.vocab, text);
  return typeof id === 'number' ? id : null;
}

function ownValue(of: unknown, key: string): unknown {
  if (typeof of !== 'object' || of === null || Array.isArray(of) || !Object.hasOwn(of, key)) return undefined;
  return (of as Record<string, unknown>)[key];
}
