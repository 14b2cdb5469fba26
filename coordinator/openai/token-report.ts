/** A token as clients are shown it. */
export interface ShownToken {
  readonly text: string;
  readonly bytes: readonly number[];
}

/** A token with its log-probability, to be rendered as either endpoint has it. */
export interface TokenReport extends ShownToken {
  /** Null for the first token of a prompt, which follows from nothing. */
  readonly logprob: number | null;
  /** Most likely first. */
  readonly top: readonly (ShownToken & { readonly logprob: number })[];
  /** Characters (code points) of the choice's text before it. */
  readonly offset: number;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A part of a character is written as OpenAI does it: `bytes:\\xf0\\x9f`. */
export function shown(bytes: Uint8Array): ShownToken {
  const list = [...bytes];
  try {
    return { text: utf8.decode(bytes), bytes: list };
  } catch {
    return { text: `bytes:${list.map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`, bytes: list };
  }
}

/** Characters as clients count them: code points. */
export function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}
