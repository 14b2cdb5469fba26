import { expect, it } from 'vitest';
import { TurnBudget } from '../../../src/async/turn-budget.js';

it('a turn budget resumes those that wait in their order, as many in a turn as there is work left', () => {
  const turns: (() => void)[] = [];
  const nextTurn = () => turns.shift()?.();
  const budget = new TurnBudget(2, (begin) => turns.push(begin));
  budget.spend();
  expect(budget.over).toBe(false);
  budget.spend();
  expect(budget.over).toBe(true);
  const resumed: number[] = [];
  const resume = (nth: number) => () => {
    resumed.push(nth);
    budget.spend();
    if (nth === 0) budget.wait(resume(9));
  };
  for (const nth of [0, 1, 2]) budget.wait(resume(nth));
  expect(resumed).toEqual([]);
  nextTurn();
  expect([resumed, budget.over]).toEqual([[0, 1], true]);
  nextTurn();
  expect(resumed).toEqual([0, 1, 2, 9]);
  nextTurn();
  expect([budget.over, turns]).toEqual([false, []]);
});
