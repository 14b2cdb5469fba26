import type { TextTokenizer } from '../served-model.js';
import type { CallReaderOptions } from './call-reader.js';
import type { MessageFormat } from './message-format.js';
import type { MessageReaderOptions } from './message-reader.js';
import { REASONING_MARKS } from './reasoning-reader.js';

/** How the text of a choice is read as a message. */
export interface MessagePlan {
  readonly options: MessageReaderOptions;
  /** The texts of special tokens that mark the parts of a message, by id. */
  readonly marks: ReadonlyMap<number, string>;
}

/** Tokens at the end of a prompt that may have begun the reasoning: its mark and blanks. */
const LAST_TOKENS = 8;

/**
 * How the answer to a prompt is read; null if it is one text.
 * @param enforced whether the answer has a given form, and so no reasoning
 */
export function messagePlan(
  prompt: Uint32Array,
  { marks, reasons }: MessageFormat,
  { calls, enforced }: { readonly calls: CallReaderOptions | null; readonly enforced: boolean },
  tokenizer: TextTokenizer,
): MessagePlan | null {
  const reasoning = !reasons || enforced ? null : beginsInside(prompt, tokenizer) ? 'inside' : 'before';
  return reasoning === null && calls === null ? null : { options: { reasoning, calls }, marks };
}

function beginsInside(prompt: Uint32Array, tokenizer: TextTokenizer): boolean {
  const end = tokenizer.decode([...prompt.slice(-LAST_TOKENS)], { skipSpecialTokens: false });
  return end.trimEnd().endsWith(REASONING_MARKS.begin);
}
