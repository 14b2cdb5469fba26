import { z } from 'zod';
import { Refused } from '../errors.js';

/** Checks the vocabulary of a tokenizer.json, which its library takes as it is. */

const AddedTokens = z.array(z.looseObject({ id: z.int().min(0), content: z.string().min(1) })).nullish();
const Merges = z.array(z.unknown());

/** The part of a tokenizer.json that has tokens. */
interface VocabularySource {
  readonly model: {
    readonly type?: string | undefined;
    readonly vocab?: unknown;
    readonly merges?: unknown;
    readonly continuing_subword_prefix?: unknown;
  };
  readonly added_tokens?: unknown;
}

/**
 * Checks that the tokens of a vocabulary have ids, each its own, for which the model has embeddings. Added tokens may have ids beyond them: some
 * families have tokens for images, for which their text models have no embeddings.
 * @param vocabSize the number of the model's embeddings
 * @throws Refused, naming the fault and the allowed values
 */
export function checkVocabulary({ model, added_tokens }: VocabularySource, path: string, vocabSize: number): void {
  const fail = (what: string) => new Refused(`cannot load ${path}: ${what}`);
  const { type = 'BPE', vocab } = model;
  if (type !== 'BPE' && type !== 'Unigram')
    throw fail(`its model has the type ${JSON.stringify(type)}; supported are BPE and Unigram`);
  const merges = Merges.safeParse(model.merges);
  if (type === 'BPE' && !merges.success)
    throw fail('model.merges must be an array in a vocabulary of type BPE; fetch it again');
  const ids = type === 'BPE' ? idsOfBpe(vocab) : idsOfUnigram(vocab);
  if (typeof ids === 'string') throw fail(`model.vocab: ${ids} in a vocabulary of type ${type}; fetch it again`);
  const stray = type === 'BPE' && merges.success ? strayMerge(merges.data, model) : null;
  if (stray !== null) throw fail(`model.merges: ${stray}; fetch it again`);
  const added = AddedTokens.safeParse(added_tokens);
  if (!added.success) {
    const [issue] = added.error.issues;
    throw fail(`added_tokens: ${['', ...issue!.path].join('.')} ${issue!.message}; fetch it again`);
  }
  const repeated = ids.length - new Set(ids).size;
  if (repeated > 0) throw fail(`${repeated} of its ${ids.length} tokens have the id of another; fetch it again`);
  const beyond = ids.filter((id) => id >= vocabSize).length;
  if (beyond > 0)
    throw fail(
      `${beyond} of its ${ids.length} tokens have ids from ${vocabSize} on, for which the model has no embeddings; use the tokenizer of this model`,
    );
}

/** The ids, or the fault. Vocabularies are large, so no schema checks each token. */
function idsOfBpe(vocab: unknown): number[] | string {
  if (typeof vocab !== 'object' || vocab === null || Array.isArray(vocab)) return 'must be an object';
  const entries = Object.entries(vocab as Record<string, unknown>);
  const wrong = entries.find(([, id]) => !Number.isSafeInteger(id) || (id as number) < 0);
  if (wrong !== undefined) return `${JSON.stringify(wrong[0])} must have a whole number`;
  return entries.map(([, id]) => id as number);
}

/**
 * Finds a merge whose parts or whose result are not in the vocabulary, which the Rust tokenizers refuse. Texts with it would become tokens without ids.
 * @returns the fault; null for none
 */
function strayMerge(
  merges: readonly unknown[],
  { vocab, continuing_subword_prefix: prefix }: VocabularySource['model'],
): string | null {
  const known = vocab as Record<string, unknown>;
  const prefixLength = typeof prefix === 'string' ? prefix.length : 0;
  for (const [i, merge] of merges.entries()) {
    // Files of older versions may begin with the head of merges.txt.
    if (typeof merge === 'string' && merge.startsWith('#version')) continue;
    const parts: unknown = typeof merge === 'string' ? merge.split(' ') : merge;
    if (!Array.isArray(parts) || parts.length !== 2 || parts.some((part) => typeof part !== 'string'))
      return `item ${i} must have two tokens, got ${JSON.stringify(merge)}`;
    const [left, right] = parts as [string, string];
    const unknown = [left, right, left + right.slice(prefixLength)].find((token) => !Object.hasOwn(known, token));
    if (unknown !== undefined)
      return `item ${i} (${JSON.stringify(merge)}) needs the token ${JSON.stringify(unknown)}, which model.vocab does not have`;
  }
  return null;
}

/** A token is written with its score; its place is its id. */
function idsOfUnigram(vocab: unknown): number[] | string {
  if (!Array.isArray(vocab)) return 'must be an array';
  const isToken = (token: unknown) => Array.isArray(token) && typeof token[0] === 'string' && Number.isFinite(token[1]);
  const wrong = vocab.findIndex((token) => !isToken(token));
  return wrong >= 0 ? `item ${wrong} must be a token with its score` : vocab.map((_, id) => id);
}
