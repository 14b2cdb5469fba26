import { describe, expect, it } from 'vitest';
import { withDeadline } from '../../../../bench/chaos/running/deadline.js';
import { collectGarbage } from '../../../../bench/garbage.js';
import { DeadlineExceeded } from '../../../../src/errors.js';

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason));
  });
}

describe('a deadline', () => {
  const { signal } = new AbortController();

  it('ends the work, also after garbage was collected', async () => {
    const work = withDeadline(50, signal, untilAborted);
    collectGarbage();
    await expect(work).rejects.toThrow(DeadlineExceeded);
  });

  it('leaves the reason to a signal that comes first, before the start or after it', async () => {
    const interrupted = new AbortController();
    const work = withDeadline(3_600_000, interrupted.signal, untilAborted);
    interrupted.abort(new Error('interrupted'));
    await expect(work).rejects.toThrow('interrupted');
    await expect(withDeadline(3_600_000, interrupted.signal, untilAborted)).rejects.toThrow('interrupted');
  });

  it('lets work that is done in time give its result', async () => {
    expect(await withDeadline(3_600_000, signal, async () => 'done')).toBe('done');
  });
});
