import { describe, expect, it } from 'vitest';
import { Prefills } from '../../../coordinator/prefills.js';
import { SimulatedClock, settled } from '../../../src/clock.js';
import { Cancelled } from '../../../src/errors.js';

describe('prefills', () => {
  const never = new AbortController().signal;

  it('wake the requests that wait for their worker, and no others', async () => {
    const clock = new SimulatedClock();
    const prefills = new Prefills(clock);
    const woken: string[] = [];
    const waits = ['a', 'a', 'b'].map((id) => prefills.waitForEnd(id, 1_000, never).then(() => woken.push(id)));
    prefills.ended('a');
    await settled();
    expect(woken).toEqual(['a', 'a']);
    prefills.ended('a');
    prefills.ended('b');
    await Promise.all(waits);
    expect(clock.nextAtMs()).toBeNull();
  });

  it('wake a request after its timeout', async () => {
    const clock = new SimulatedClock();
    const prefills = new Prefills(clock);
    let woken = false;
    const wait = prefills.waitForEnd('a', 1_000, never).then(() => (woken = true));
    await clock.advance(999);
    expect(woken).toBe(false);
    await clock.advance(1);
    expect(woken).toBe(true);
    await wait;
    prefills.ended('a');
  });

  it('reject a cancelled request, before and during its wait', async () => {
    const clock = new SimulatedClock();
    const prefills = new Prefills(clock);
    const off = new AbortController();
    const wait = prefills.waitForEnd('a', 1_000, off.signal);
    off.abort();
    await expect(wait).rejects.toBeInstanceOf(Cancelled);
    await expect(prefills.waitForEnd('a', 1_000, off.signal)).rejects.toBeInstanceOf(Cancelled);
    expect(clock.nextAtMs()).toBeNull();
  });
});
