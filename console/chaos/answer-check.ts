import { SAMPLE_NOTES } from '../ring/sample-prompt.js';

/** Checks answers to questions that are asked again and again while the fleet is disturbed. Greedy answers to one prompt must not differ. Pure. */

const NOTES = `Notes:\n${SAMPLE_NOTES.join('\n')}`;

/** A prompt, and the note that answers it. */
export interface CheckedPrompt {
  readonly prompt: string;
  readonly note: string;
}

/** Prompts that begin with the same notes, each with its question. @internal exported for tests. */
export const CHECKED_PROMPTS: readonly CheckedPrompt[] = SAMPLE_NOTES.filter((note) => note.includes(' is in the '))
  .slice(0, 8)
  .map((note) => ({
    prompt: `${NOTES}\n\nQ: Where is ${note.replace(/ is in the .*/, '').replace(/^The/, 'the')}?\nA:`,
    note,
  }));

/** Different answers to a prompt that are told apart. */
const TOLD_APART = 32;

export interface AnswerCounts {
  readonly asked: number;
  readonly right: number;
  readonly wrong: number;
  readonly failed: number;
  /** Of all answers, and of those the ones from the first on that is wrong in its answer. */
  readonly tokens: number;
  readonly wrongTokens: number;
  /** Whether the model has answered each prompt with its note. Where it has not, the first answer counts as right. */
  readonly noted: boolean;
}

/** Equal answers to one prompt. */
interface Said {
  readonly pieces: readonly string[];
  count: number;
}

export class AnswerCheck {
  /** By prompt, then by text: the first answer first. */
  private readonly said = new Map<string, Map<string, Said>>();
  private asked = 0;
  private failures = 0;
  private tokens = 0;

  get counts(): AnswerCounts {
    const { asked, failures: failed, tokens } = this;
    const counts = { asked, right: 0, wrong: 0, failed, tokens, wrongTokens: 0, noted: true };
    for (const { prompt, note } of CHECKED_PROMPTS) {
      const answers = this.said.get(prompt) ?? new Map<string, Said>();
      // An answer that began in a fault may be the wrong one, but no wrong one is the note.
      const [truth = note] = answers.has(note) ? [note] : answers.keys();
      if (truth !== note) counts.noted = false;
      for (const [text, { pieces, count }] of answers) {
        if (text === truth) counts.right += count;
        else {
          counts.wrong += count;
          counts.wrongTokens += count * piecesBeyond(pieces, truth);
        }
      }
    }
    return counts;
  }

  /** The prompt to ask next. */
  next(): CheckedPrompt {
    return CHECKED_PROMPTS[this.asked++ % CHECKED_PROMPTS.length]!;
  }

  /** @param pieces of the answer as they came, each a token or more */
  answered({ prompt, note }: CheckedPrompt, pieces: readonly string[], tokens: number): void {
    this.tokens += tokens;
    const text = pieces.join('').trim();
    const answers = this.said.get(prompt) ?? new Map<string, Said>();
    this.said.set(prompt, answers);
    const rest = answers.size < TOLD_APART || text === note ? undefined : restOf(answers, note);
    const same = answers.get(text) ?? rest;
    if (same === undefined) answers.set(text, { pieces, count: 1 });
    else same.count++;
  }

  failed(): void {
    this.failures++;
  }
}

/** An answer that cannot be the right one. */
function restOf(answers: ReadonlyMap<string, Said>, note: string): Said | undefined {
  return [...answers].find(([text], index) => index > 0 && text !== note)?.[1];
}

/** The pieces from the first on that differs from the text. */
function piecesBeyond(pieces: readonly string[], truth: string): number {
  let text = '';
  const same = pieces.findIndex((piece) => {
    text = (text + piece).trimStart();
    return !truth.startsWith(text.trimEnd());
  });
  return same === -1 ? 0 : pieces.length - same;
}
