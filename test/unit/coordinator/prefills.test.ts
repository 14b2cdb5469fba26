import { describe, expect, it } from 'vitest';
import { Prefills } from '../../../coordinator/prefills.js';
import { SimulatedClock, settled } from '../../../src/clock.js';
import { Cancelled } from '../../../src/errors.js';

describe('prefills', () => {
  const never = new AbortController().signal;

  it('wake those who wait for their worker, and nobody else', async () => {
    const clock = new SimulatedClock();
    const prefills = new Prefills(clock);
    const woken: string[] = [];
    const waits = ['a', 'a', 'b'].map((id) => prefills.next(id, 1_000, never).then(() => woken.push(id)));
    prefills.over('a');
    await settled();
    expect(woken).toEqual(['a', 'a']);
    prefills.over('a');
    prefills.over('b');
    await Promise.all(waits);
    expect(clock.nextAtMs()).toBeNull();
  });

  it('let nobody wait longer than he said', async () => {
    const clock = new SimulatedClock();
    const prefills = new Prefills(clock);
    let woken = false;
    const wait = prefills.next('a', 1_000, never).then(() => (woken = true));
    await clock.advance(999);
    expect(woken).toBe(false);
    await clock.advance(1);
    expect(woken).toBe(true);
    await wait;
    prefills.over('a');
  });

  it('let go of who is called off, before or while he waits', async () => {
    const clock = new SimulatedClock();
    const prefills = new Prefills(clock);
    const off = new AbortController();
    const wait = prefills.next('a', 1_000, off.signal);
    off.abort();
    await expect(wait).rejects.toBeInstanceOf(Cancelled);
    await expect(prefills.next('a', 1_000, off.signal)).rejects.toBeInstanceOf(Cancelled);
    expect(clock.nextAtMs()).toBeNull();
  });
});
