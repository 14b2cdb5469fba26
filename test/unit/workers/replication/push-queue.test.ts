import { beforeEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../../src/clock.js';
import { type PushCause, PushQueue, type PushTask } from '../../../../workers/replication/push-queue.js';
import { chain, sealedOf } from '../support/cache.js';

describe('a queue of pushes', () => {
  let clock: SimulatedClock;
  let queue: PushQueue;
  const ready: string[] = [];

  beforeEach(() => {
    clock = new SimulatedClock();
    ready.length = 0;
    queue = new PushQueue(clock, (to) => ready.push(to));
  });

  function task(to: string, blocks = 1, cause: PushCause = 'new'): PushTask {
    const push = { to, segment: `of ${to}`, blocks: chain(to, blocks).map(sealedOf) };
    return { push, attempt: 1, cause };
  }

  it('keeps a line for each worker, in order, and tells when there is something in it', () => {
    const [first, second, other] = [task('a'), task('a', 2), task('b', 3)];
    for (const one of [first, second, other]) queue.add(one);
    expect(ready).toEqual(['a', 'a', 'b']);
    expect(queue.waiting('new')).toBe(6);
    expect([queue.next('a'), queue.next('b'), queue.next('b')]).toEqual([first, other, null]);
    expect(queue.all('a')).toEqual([second]);
    expect(queue.waiting('new')).toBe(0);
  });

  it('counts what gets into line later from the beginning', () => {
    const tasks = [task('a', 2, 'moved'), task('b', 3, 'check')];
    queue.addLater(tasks, 500);
    expect([queue.waiting('moved'), queue.waiting('check')]).toEqual([2, 3]);
    expect([queue.next('a'), ready]).toEqual([null, []]);
    clock.step();
    expect(clock.now()).toBe(500);
    expect(ready).toEqual(['a', 'b']);
    expect([queue.next('a'), queue.next('b')]).toEqual(tasks);
    expect([queue.waiting('moved'), queue.waiting('check')]).toEqual([0, 0]);
  });

  it('lets go of what is not to be kept, and of timers for nothing', () => {
    queue.addLater([task('a'), task('b')], 500);
    queue.add(task('b', 2));
    queue.keep(({ push }) => push.to === 'a');
    expect([queue.waiting('new'), queue.next('b'), clock.nextAtMs()]).toEqual([1, null, 500]);
    queue.clear();
    expect([queue.waiting('new'), clock.nextAtMs()]).toEqual([0, null]);
  });

  it('drops of new blocks first what was tried already, then the oldest of the longest line', () => {
    const [tried, short, old, young] = [task('c'), task('b'), task('a'), task('a')];
    for (const one of [short, task('a', 1, 'moved'), old, young]) queue.add(one);
    queue.addLater([task('c', 1, 'check'), tried], 500);
    expect([queue.dropNew(), queue.dropNew(), queue.dropNew(), queue.dropNew()]).toEqual([tried, old, young, short]);
    expect([queue.dropNew(), queue.waiting('moved'), queue.waiting('check')]).toEqual([null, 1, 1]);
  });
});
