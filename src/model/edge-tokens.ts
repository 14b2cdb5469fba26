import { z } from 'zod';
import { type SpecialTokenRole, specialToken, tokenId } from './special-token.js';

/**
 * Finds the tokens around a text that tokenizer_config.json asks for, where tokenizer.json adds none.
 *
 * Up to version 4, transformers gave the tokenizers of some classes a post-processor of its own, by `add_bos_token` and `add_eos_token`. Models of that
 * time, such as DeepSeek-V3, were trained with these tokens, although their tokenizer.json does not mention them.
 */

/** Whether texts begin with the begin token if tokenizer_config.json does not say so, by tokenizer class without `Fast`. */
const BEGIN_BY_DEFAULT = new Map([
  ['LlamaTokenizer', true],
  ['CodeLlamaTokenizer', true],
  ['GemmaTokenizer', true],
  ['CohereTokenizer', true],
  ['GPTNeoXTokenizer', false],
]);

const PostProcessor: z.ZodType<PostProcessor> = z.lazy(() =>
  z.looseObject({ type: z.string(), processors: z.array(PostProcessor).optional() }),
);
interface PostProcessor {
  type: string;
  processors?: PostProcessor[] | undefined;
}

const Settings = z.looseObject({
  tokenizer_class: z.string().nullish().catch(null),
  add_bos_token: z.boolean().nullish().catch(null),
  add_eos_token: z.boolean().nullish().catch(null),
});

/** The contents of a tokenizer.json, with a post-processor that adds the tokens that the configuration asks for. */
export function withEdgeTokens<T extends { readonly post_processor?: unknown }>(
  tokenizerJson: T,
  tokenizerConfig: Readonly<Record<string, unknown>>,
): T {
  if (addsTokens(tokenizerJson.post_processor)) return tokenizerJson;
  const { begin, end } = wanted(tokenizerConfig);
  const tokenOf = (role: SpecialTokenRole) => specialTokenOf(tokenizerJson, tokenizerConfig, role);
  const before = begin ? tokenOf('bos_token') : [];
  const after = end ? tokenOf('eos_token') : [];
  if (before.length + after.length === 0) return tokenizerJson;
  const single = [...before, { Sequence: { id: 'A', type_id: 0 } }, ...after];
  return { ...tokenizerJson, post_processor: { type: 'TemplateProcessing', single, pair: [], special_tokens: {} } };
}

function wanted(tokenizerConfig: Readonly<Record<string, unknown>>): { begin: boolean; end: boolean } {
  const { tokenizer_class: name, add_bos_token: begin, add_eos_token: end } = Settings.parse(tokenizerConfig);
  const byDefault = name ? BEGIN_BY_DEFAULT.get(name.replace(/Fast$/, '')) : false;
  if (byDefault === undefined) return { begin: false, end: false };
  return { begin: begin ?? byDefault, end: end ?? false };
}

function specialTokenOf(
  tokenizerJson: object,
  tokenizerConfig: Readonly<Record<string, unknown>>,
  role: SpecialTokenRole,
): object[] {
  const text = specialToken(tokenizerConfig, role);
  return text === null || tokenId(tokenizerJson, text) === null ? [] : [{ SpecialToken: { id: text, type_id: 0 } }];
}

/** Whether a post-processor adds tokens; the one of byte-level vocabularies only counts characters. */
function addsTokens(postProcessor: unknown): boolean {
  const parsed = PostProcessor.nullish().safeParse(postProcessor);
  if (!parsed.success) return true;
  return flatten(parsed.data ?? null).some(({ type }) => type !== 'ByteLevel');
}

function flatten(postProcessor: PostProcessor | null): PostProcessor[] {
  if (postProcessor === null) return [];
  return postProcessor.processors ? postProcessor.processors.flatMap(flatten) : [postProcessor];
}
