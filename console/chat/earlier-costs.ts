import type { ChatAnswer } from './chat-log.js';
import type { AnswerCost } from './stream-answer.js';

/** What earlier answers to the same prompt cost, for each answer of a chat. */

/** A page looks at its answers at each token of a running one. */
const TEXTS = new WeakMap<ChatAnswer['asked'], string>();

/** @param answers oldest first */
export function earlierCosts(answers: readonly ChatAnswer[]): AnswerCost[][] {
  const byPrompt = new Map<string, AnswerCost[]>();
  return answers.map(({ asked, cost }) => {
    const prompt = textOf(asked);
    const earlier = byPrompt.get(prompt) ?? [];
    if (cost !== null) byPrompt.set(prompt, [...earlier, cost]);
    return earlier;
  });
}

function textOf(asked: ChatAnswer['asked']): string {
  const known = TEXTS.get(asked);
  if (known !== undefined) return known;
  const text = JSON.stringify(asked);
  TEXTS.set(asked, text);
  return text;
}
