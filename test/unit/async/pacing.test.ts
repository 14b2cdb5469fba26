import { expect, it } from 'vitest';
import { Pacing } from '../../../src/async/pacing.js';
import { SimulatedClock } from '../../../src/clock.js';

it('paces items: as many at once as an interval has room for, and the others in later ones, in their order', async () => {
  const clock = new SimulatedClock();
  const handled: number[] = [];
  const pacing = new Pacing<number>(clock, 2, 5, (item) => handled.push(item));
  for (let i = 0; i < 5; i++) pacing.add(i);
  expect(handled).toEqual([0, 1]);
  await clock.advance(5);
  pacing.add(5);
  expect(handled).toEqual([0, 1, 2, 3]);
  await clock.advance(5);
  expect(handled).toEqual([0, 1, 2, 3, 4, 5]);
  await clock.advance(5);
  pacing.add(6);
  expect(handled.at(-1)).toBe(6);
  for (let i = 7; i < 12; i++) pacing.add(i);
  pacing.stop();
  await clock.advance(50);
  expect(handled).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
});
