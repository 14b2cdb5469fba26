import type { Constraint } from '../../../src/core/constraint/constraint.js';
import { REASONING_MARKS } from '../../../src/model/reasoning-format.js';
import type { ServedModel, TextTokenizer } from '../served-model.js';
import type { CallReaderOptions } from './call-reader.js';
import type { MessageFormat } from './message-format.js';
import type { MessageReaderOptions } from './message-reader.js';
import type { ReasoningReading } from './reasoning-reader.js';
import { textWithTokens } from './token-mark.js';

/** How the text of a choice is read as a message. */
export interface MessagePlan {
  readonly options: MessageReaderOptions;
  /** The texts of special tokens that mark the parts of a message, by id. */
  readonly marks: ReadonlyMap<number, string>;
}

/** Tokens at the end of a prompt that may have begun the reasoning: its mark and blanks. */
const LAST_TOKENS = 8;
/** What stands before the header of a message in the format harmony. */
const BEFORE_HEADER = /<\|start\|>assistant$/;

/** The header of the message that the user sees, in the format harmony. */
const FINAL_HEADER = '<|channel|>final<|message|>';

/** A constraint on the text of an answer, as one on all of the answer: in the format harmony a text has a header. */
export function framed(
  constraint: Constraint,
  prompt: Uint32Array,
  { message: { channels, marks }, tokenizer }: Pick<ServedModel, 'message' | 'tokenizer'>,
): Constraint {
  const isWhole = !channels || constraint.type === 'calls' || !BEFORE_HEADER.test(endOf(prompt, tokenizer));
  return isWhole ? constraint : { type: 'framed', before: FINAL_HEADER, specials: [...marks.values()], constraint };
}

/**
 * How the answer to a prompt is read; null if it is one text.
 * @param enforced whether the answer has a given form, and so no reasoning
 */
export function messagePlan(
  prompt: Uint32Array,
  format: MessageFormat,
  { calls, enforced }: { readonly calls: CallReaderOptions | null; readonly enforced: boolean },
  tokenizer: TextTokenizer,
): MessagePlan | null {
  const { marks, reasoning: parser } = format;
  const specials = [...marks.values()];
  const end = endOf(prompt, tokenizer);
  if (format.channels) {
    const begins = BEFORE_HEADER.test(end) ? 'header' : 'text';
    return { options: { form: 'channels', begins, enforced, specials, reasons: parser !== null, calls }, marks };
  }
  const marked = parser === null || enforced ? null : REASONING_MARKS[parser];
  const reasoning: ReasoningReading | null = marked && {
    begins: end.trimEnd().endsWith(marked.begin) ? 'inside' : 'before',
    marks: { begin: textWithTokens(marked.begin, specials), end: textWithTokens(marked.end, specials) },
  };
  return reasoning === null && calls === null ? null : { options: { form: 'marked', reasoning, calls }, marks };
}

function endOf(prompt: Uint32Array, tokenizer: TextTokenizer): string {
  return tokenizer.decode([...prompt.slice(-LAST_TOKENS)], { skipSpecialTokens: false });
}
