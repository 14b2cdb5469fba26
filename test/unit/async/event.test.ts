import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { OneTimeEvent } from '../../../src/async/event.js';
import { settled } from '../../../src/clock.js';
import { Cancelled } from '../../../src/errors.js';

describe('a event', () => {
  it('lets all who wait go on when it opens, and those who come later at once', async () => {
    const event = new OneTimeEvent();
    const { signal } = new AbortController();
    let gone = 0;
    const waits = [1, 2].map(() => event.wait(signal).then(() => gone++));
    await settled();
    expect(gone).toBe(0);
    event.set();
    event.set();
    await Promise.all(waits);
    await event.wait(signal);
    expect(gone).toBe(2);
  });

  it('lets go of those who are called off, and of their signals', async () => {
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
