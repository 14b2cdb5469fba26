import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { OneTimeEvent } from '../../../src/async/event.js';
import { settled } from '../../../src/clock.js';
import { Cancelled } from '../../../src/errors.js';

describe('a one-time event', () => {
  it('wakes all waiters when it is set, and lets later callers through at once', async () => {
    const event = new OneTimeEvent();
    const { signal } = new AbortController();
    let woken = 0;
    const waits = [1, 2].map(() => event.wait(signal).then(() => woken++));
    await settled();
    expect(woken).toBe(0);
    event.set();
    event.set();
    await Promise.all(waits);
    await event.wait(signal);
    expect(woken).toBe(2);
  });

  it('rejects a wait whose signal aborts, and leaves no listener on any signal', async () => {
    const event = new OneTimeEvent();
    const [off, on] = [new AbortController(), new AbortController()];
    const called = event.wait(off.signal);
    const stays = event.wait(on.signal);
    off.abort();
    await expect(called).rejects.toBeInstanceOf(Cancelled);
    await expect(event.wait(off.signal)).rejects.toBeInstanceOf(Cancelled);
    expect(getEventListeners(on.signal, 'abort').length).toBe(1);
    event.set();
    await stays;
    expect(getEventListeners(on.signal, 'abort').length).toBe(0);
  });
});
