import { expect, test } from 'vitest';
import { Mutex } from '../../../src/async/mutex.js';

test('runs one piece of work at a time, in order, and continues after a failure', async () => {
  const lock = new Mutex();
  const seen: string[] = [];
  let inside = 0;
  const turn = (name: string, fails = false) =>
    lock.run(async () => {
      inside += 1;
      expect(inside).toBe(1);
      await Promise.resolve();
      seen.push(name);
      inside -= 1;
      if (fails) throw new Error(name);
      return name;
    });
  const [a, b, c] = [turn('a'), turn('b', true), turn('c')];
  await expect(b).rejects.toThrow('b');
  expect([await a, await c]).toEqual(['a', 'c']);
  expect(seen).toEqual(['a', 'b', 'c']);
});

test('postpones work that must run outside the lock until the holder is done', async () => {
  const lock = new Mutex();
  const seen: string[] = [];
  lock.runOutside(() => seen.push('at once'));
  const turn = lock.run(async () => {
    lock.runOutside(() => seen.push('after'));
    seen.push('in the turn');
  });
  const next = lock.run(async () => void seen.push('next'));
  await Promise.all([turn, next]);
  expect(seen).toEqual(['at once', 'in the turn', 'after', 'next']);
});
