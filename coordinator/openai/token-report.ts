/** A token with its log-probability, before an endpoint renders it. */

/** A token as clients see it. */
export interface ShownToken {
  readonly text: string;
  readonly bytes: readonly number[];
}

export interface TokenReport extends ShownToken {
  readonly id: number;
  /** Null for the first token of a prompt: nothing precedes it. */
  readonly logprob: number | null;
  /** Most likely first. */
  readonly top: readonly (ShownToken & { readonly id: number; readonly logprob: number })[];
  /** Its place among all tokens, the most likely first; null if it was not asked for. */
  readonly rank: number | null;
  /** Code points of the choice's text before the token. */
  readonly offset: number;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Renders a token. An incomplete character becomes `bytes:\\xf0\\x9f`, as in OpenAI's API. */
export function showToken(bytes: Uint8Array): ShownToken {
  const list = [...bytes];
  try {
    return { text: utf8.decode(bytes), bytes: list };
  } catch {
    return { text: `bytes:${list.map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`, bytes: list };
  }
}

/** The length of a text in code points, the API's unit of characters. */
export function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}
