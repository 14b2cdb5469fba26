import type { TokensBySource } from '../../src/console/feed-messages.js';
import type { Api } from '../session/api.js';

/** Which part of a prompt's text came from where. */

/** A conversation, or a text to continue. */
export type ChatPrompt = { readonly messages: readonly SaidMessage[] } | { readonly prompt: string };

export interface SaidMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

export interface ColouredText {
  readonly source: keyof TokensBySource;
  readonly text: string;
}

/**
 * The prompt as the model saw it, in up to three parts. A prompt is found from its beginning on: first in the worker's own memory, then in other
 * workers' memory.
 */
export async function colouredPrompt(api: Api, prompt: ChatPrompt, cached: TokensBySource): Promise<ColouredText[]> {
  const { tokens } = await api.post<{ tokens: number[] }>(
    '/tokenize',
    'prompt' in prompt ? prompt : { ...prompt, add_generation_prompt: true },
  );
  const ends = [cached.local, cached.local + cached.remote, tokens.length];
  // One after another, and none twice: each counts as a request of the reader's key.
  const texts = new Map([[0, '']]);
  for (const end of ends) {
    if (texts.has(end)) continue;
    const { prompt: text } = await api.post<{ prompt: string }>('/detokenize', { tokens: tokens.slice(0, end) });
    texts.set(end, text);
  }
  return splitAt(ends.map((end) => texts.get(end)!));
}

/** The parts that each text adds to the one before it. Pure. @internal exported for tests. */
export function splitAt(texts: readonly string[]): ColouredText[] {
  const sources = ['local', 'remote', 'computed'] as const;
  let from = 0;
  return texts.flatMap((text, index) => {
    const part = text.slice(from);
    from = Math.max(from, text.length);
    return part === '' ? [] : [{ source: sources[index]!, text: part }];
  });
}
