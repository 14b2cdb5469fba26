import type { TokenLogprobs } from '../../src/protocol/generate.js';
import type { TextTokenizer } from './served-model.js';

/** A token with its log-probability, to be rendered as either endpoint has it. */
export interface TokenReport {
  readonly text: string;
  readonly bytes: readonly number[];
  /** Null for the first token of a prompt, which follows from nothing. */
  readonly logprob: number | null;
  /** Most likely first. */
  readonly top: readonly { readonly text: string; readonly bytes: readonly number[]; readonly logprob: number }[];
  /** Characters (code points) of the choice's text before it. */
  readonly offset: number;
}

export function tokenReport(
  tokenizer: TextTokenizer,
  id: number,
  logprobs: TokenLogprobs | null,
  offset: number,
): TokenReport {
  return {
    ...shown(tokenizer.tokenBytes(id)),
    logprob: logprobs?.logprob ?? null,
    top: (logprobs?.top ?? []).map(([token, logprob]) => ({ ...shown(tokenizer.tokenBytes(token)), logprob })),
    offset,
  };
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A part of a character is written as OpenAI does it: `bytes:\\xf0\\x9f`. */
function shown(bytes: Uint8Array): { text: string; bytes: readonly number[] } {
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
