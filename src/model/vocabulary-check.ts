import { z } from 'zod';
import { Refused } from '../errors.js';

/** Checks the vocabulary of a tokenizer.json, which its library takes as it is. */

const AddedTokens = z.array(z.looseObject({ id: z.int().min(0), content: z.string().min(1) })).nullish();
const Merges = z.array(z.unknown());

/** The part of a tokenizer.json that has tokens. */
interface VocabularySource {
  readonly model: { readonly type?: string | undefined; readonly vocab?: unknown; readonly merges?: unknown };
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
  if (type === 'BPE' && !Merges.safeParse(model.merges).success)
    throw fail('model.merges must be an array in a vocabulary of type BPE; fetch it again');
  const ids = type === 'BPE' ? idsOfBpe(vocab) : idsOfUnigram(vocab);
  if (typeof ids === 'string') throw fail(`model.vocab: ${ids} in a vocabulary of type ${type}; fetch it again`);
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

/** A token is written with its score; its place is its id. */
function idsOfUnigram(vocab: unknown): number[] | string {
  if (!Array.isArray(vocab)) return 'must be an array';
  const isToken = (token: unknown) => Array.isArray(token) && typeof token[0] === 'string' && Number.isFinite(token[1]);
  const wrong = vocab.findIndex((token) => !isToken(token));
  return wrong >= 0 ? `item ${wrong} must be a token with its score` : vocab.map((_, id) => id);
}
