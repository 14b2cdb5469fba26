import { expect, it } from 'vitest';
import type { ChatAnswer } from '../../../console/chat/chat-log.js';
import { earlierCosts } from '../../../console/chat/earlier-costs.js';

it('gives each answer the costs of those before it whose prompt was the same', () => {
  const answer = (prompt: string, cost: string | null) => ({ asked: { prompt }, cost }) as unknown as ChatAnswer;
  const answers = [
    answer('a', 'one'),
    answer('b', 'two'),
    answer('a', null),
    answer('a', 'three'),
    answer('a', 'four'),
  ];
  expect(earlierCosts(answers)).toEqual([[], [], ['one'], ['one'], ['one', 'three']]);
});
