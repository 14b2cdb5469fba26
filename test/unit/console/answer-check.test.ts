import { describe, expect, it } from 'vitest';
import { AnswerCheck, CHECKED_PROMPTS } from '../../../console/chaos/answer-check.js';

/** Asks each prompt once. @param answer gives the pieces of the answer; null if the request fails */
function ask(check: AnswerCheck, answer: (note: string) => readonly string[] | null, count = CHECKED_PROMPTS.length) {
  for (let i = 0; i < count; i++) {
    const checked = check.next();
    const pieces = answer(checked.note);
    if (pieces === null) check.failed();
    else check.answered(checked, pieces, pieces.length);
  }
}
const words = (note: string) => note.split(/(?= )/).map((word, index) => (index === 0 ? ` ${word}` : word));
const EACH = CHECKED_PROMPTS.length;

describe('the check of answers', () => {
  it('takes the notes for right, also where asking began with a wrong answer', () => {
    const check = new AnswerCheck();
    ask(check, (note) => words(note.replace('is in', 'was at')));
    expect(check.counts).toMatchObject({ right: EACH, wrong: 0, noted: false });
    ask(check, words);
    // The words from the first wrong one on: was, at, the, and the place.
    expect(check.counts).toEqual({
      ...{ asked: 2 * EACH, right: EACH, wrong: EACH, failed: 0 },
      ...{ tokens: 14 * EACH, wrongTokens: 4 * EACH, noted: true },
    });
  });

  it('takes the first answer of a model that answers otherwise for right, and counts the tokens that differ', () => {
    const check = new AnswerCheck();
    ask(check, () => ['It', ' is', ' there.']);
    ask(check, () => ['It', ' is', ' there.']);
    ask(check, () => ['It', ' was', ' there.'], 1);
    ask(check, () => null, 2);
    expect(check.counts).toEqual({
      ...{ asked: 2 * EACH + 3, right: 2 * EACH, wrong: 1, failed: 2 },
      ...{ tokens: 3 * (2 * EACH + 1), wrongTokens: 2, noted: false },
    });
  });

  it('counts every answer, however many differ', () => {
    const check = new AnswerCheck();
    for (let i = 0; i < 100; i++) ask(check, (note) => [i === 60 ? note : `wrong ${i}`]);
    expect(check.counts).toMatchObject({ right: EACH, wrong: 99 * EACH });
  });

  it('asks prompts that share their notes', () => {
    expect(new Set(CHECKED_PROMPTS).size).toBe(8);
    expect(CHECKED_PROMPTS[0]!.prompt).toMatch(/\n\nQ: Where is the amber key\?\nA:$/);
    const [shared] = CHECKED_PROMPTS[0]!.prompt.split('Q:');
    expect(CHECKED_PROMPTS.every(({ prompt }) => prompt.startsWith(shared!))).toBe(true);
  });
});
