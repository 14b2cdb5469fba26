import { SAMPLE_NOTES } from '../ring/sample-prompt.js';

/** Counts answers to questions that are asked again and again while the fleet is disturbed. Greedy answers to one prompt must not differ. Pure. */

const NOTES = `Notes:\n${SAMPLE_NOTES.join('\n')}`;

/** Prompts that begin with the same notes, each with its question. @internal exported for tests. */
export const CHECKED_PROMPTS: readonly string[] = SAMPLE_NOTES.filter((note) => note.includes(' is in the '))
  .slice(0, 8)
  .map((note) => `${NOTES}\n\nQ: Where is ${note.replace(/ is in the .*/, '').replace(/^The/, 'the')}?\nA:`);

export interface AnswerCounts {
  readonly asked: number;
  readonly same: number;
  /** Other than the first answer to the same prompt: wrong. */
  readonly wrong: number;
  readonly failed: number;
}

export const NO_ANSWERS: AnswerCounts = { asked: 0, same: 0, wrong: 0, failed: 0 };

export class AnswerCheck {
  private readonly first = new Map<string, string>();
  private tally: AnswerCounts = NO_ANSWERS;

  get counts(): AnswerCounts {
    return this.tally;
  }

  /** The prompt to ask next. */
  next(): string {
    return CHECKED_PROMPTS[this.tally.asked % CHECKED_PROMPTS.length]!;
  }

  asked(): void {
    this.count('asked');
  }

  answered(prompt: string, answer: string): void {
    const first = this.first.get(prompt) ?? answer;
    this.first.set(prompt, first);
    this.count(answer === first ? 'same' : 'wrong');
  }

  failed(): void {
    this.count('failed');
  }

  private count(what: keyof AnswerCounts): void {
    this.tally = { ...this.tally, [what]: this.tally[what] + 1 };
  }
}
