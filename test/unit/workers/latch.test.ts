import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { settled } from '../../../src/clock.js';
import { Cancelled } from '../../../src/errors.js';
import { Latch } from '../../../workers/latch.js';

describe('a latch', () => {
  it('lets all who wait go on when it opens, and those who come later at once', async () => {
    const latch = new Latch();
    const { signal } = new AbortController();
    let gone = 0;
    const waits = [1, 2].map(() => latch.wait(signal).then(() => gone++));
    await settled();
    expect(gone).toBe(0);
    latch.open();
    latch.open();
    await Promise.all(waits);
    await latch.wait(signal);
    expect(gone).toBe(2);
  });

  it('lets go of those who are called off, and of their signals', async () => {
    const latch = new Latch();
    const [off, on] = [new AbortController(), new AbortController()];
    const called = latch.wait(off.signal);
    const stays = latch.wait(on.signal);
    off.abort();
    await expect(called).rejects.toBeInstanceOf(Cancelled);
    await expect(latch.wait(off.signal)).rejects.toBeInstanceOf(Cancelled);
    expect(getEventListeners(on.signal, 'abort').length).toBe(1);
    latch.open();
    await stays;
    expect(getEventListeners(on.signal, 'abort').length).toBe(0);
  });
});
