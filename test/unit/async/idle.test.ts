import { describe, expect, it } from 'vitest';
import { IdleCondition } from '../../../src/async/idle.js';
import { settled } from '../../../src/clock.js';

describe('an idle condition', () => {
  it('lets no caller wait if no work is left', async () => {
    await new IdleCondition(() => true).wait();
  });

  it('wakes all waiters at the first notification that finds no work left', async () => {
    let work = 2;
    const idle = new IdleCondition(() => work === 0);
    const woken: string[] = [];
    void idle.wait().then(() => woken.push('first'));
    void idle.wait().then(() => woken.push('second'));
    work--;
    idle.notify();
    await settled();
    expect(woken).toEqual([]);
    work--;
    await settled();
    expect(woken).toEqual([]);
    idle.notify();
    idle.notify();
    await settled();
    expect(woken).toEqual(['first', 'second']);
  });

  it('can be awaited again when there is new work', async () => {
    let work = 1;
    const idle = new IdleCondition(() => work === 0);
    const first = idle.wait();
    work = 0;
    idle.notify();
    await first;
    work = 1;
    let woken = false;
    const second = idle.wait().then(() => (woken = true));
    idle.notify();
    await settled();
    expect(woken).toBe(false);
    work = 0;
    idle.notify();
    await second;
  });
});
