import { z } from 'zod';
import type { TextCaller } from '../../src/text/text-work.js';
import { Name } from './fields.js';
import { type Mark, sharedBlocks } from './mark.js';
import type { RequestMessage } from './messages.js';
import { honoured } from './parameters/parameter.js';
import type { Prompt, PromptReader, ReadingOptions } from './prompt.js';

/** OpenAI's parameters by which a conversation asks that its prompt is kept. */

export const CACHE_PARAMETERS = {
  prompt_cache_retention: honoured(
    z.enum(['in_memory', 'in-memory', '24h']).optional(),
    '`24h`: the prompt up to its last message is kept for a day. See [kept prompts](#kept-prompts).',
  ),
  prompt_cache_key: honoured(
    Name.optional(),
    'With `prompt_cache_retention` `24h`, one prompt is kept for each key. Else a hint without effect: prefixes are found by their content.',
  ),
};

const DAY_MS = 24 * 3_600_000;

export interface CacheFields {
  readonly prompt_cache_retention?: 'in_memory' | 'in-memory' | '24h' | undefined;
  readonly prompt_cache_key?: string | undefined;
}

/** The mark that a conversation asks for, up to its last message, in place of which another one may follow. */
export async function retainedPrefix(
  { prompt_cache_retention: retention, prompt_cache_key: name }: CacheFields,
  prompt: Prompt,
  messages: RequestMessage[],
  {
    prompts,
    reading,
    caller,
  }: { readonly prompts: PromptReader; readonly reading: ReadingOptions; readonly caller: TextCaller },
): Promise<Mark[]> {
  if (retention !== '24h') return [];
  const last = messages.at(-1);
  const other = last && messages.length > 1 ? [...messages.slice(0, -1), { ...last, content: '.' }] : null;
  const tokens =
    other === null
      ? sharedBlocks(prompt.tokens, prompt.tokens)
      : await prompts.prefixOf(prompt, other, reading, caller);
  return [{ tokens, ttlMs: DAY_MS, name: name ?? null }];
}
