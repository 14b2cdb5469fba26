import { expect, it } from 'vitest';
import { LOOP_TURNS } from '../../../src/async/loop-turns.js';

it('gives each caller a turn of the event loop of its own', async () => {
  let turn = 0;
  let over = false;
  const count = () => {
    turn++;
    if (!over) setImmediate(count);
  };
  setImmediate(count);
  const turns = await Promise.all(Array.from({ length: 20 }, () => LOOP_TURNS.next().then(() => turn)));
  over = true;
  expect(new Set(turns).size).toBe(20);
});
