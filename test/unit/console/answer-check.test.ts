import { expect, it } from 'vitest';
import { AnswerCheck, CHECKED_PROMPTS } from '../../../console/chaos/answer-check.js';

it('takes the first answer to a prompt for the right one, and counts what differs from it', () => {
  const check = new AnswerCheck();
  const ask = (answer: string | null) => {
    const prompt = check.next();
    check.asked();
    if (answer === null) check.failed();
    else check.answered(prompt, answer);
  };
  for (const prompt of CHECKED_PROMPTS) ask(`to ${prompt}`);
  for (const prompt of CHECKED_PROMPTS) ask(`to ${prompt}`);
  ask('something else');
  ask(null);
  const asked = 2 * CHECKED_PROMPTS.length + 2;
  expect(check.counts).toEqual({ asked, same: asked - 2, wrong: 1, failed: 1 });
});

it('asks prompts that share their notes', () => {
  expect(new Set(CHECKED_PROMPTS).size).toBe(8);
  expect(CHECKED_PROMPTS[0]).toMatch(/\n\nQ: Where is the amber key\?\nA:$/);
  const [shared] = CHECKED_PROMPTS[0]!.split('Q:');
  expect(CHECKED_PROMPTS.every((prompt) => prompt.startsWith(shared!))).toBe(true);
});
