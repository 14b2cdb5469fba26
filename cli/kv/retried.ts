import type { Clock } from '../../src/clock.js';
import { fromWire, toWire } from '../../src/errors.js';

/** Pauses after failures: the first, and the longest. Each is twice the last. */
const PAUSE_MS = 250;
const PAUSE_CEILING_MS = 8_000;
const TRIES = 10;

/** Calls until it succeeds, where the failure may pass. */
export async function retried<T>(clock: Clock, call: () => Promise<T>): Promise<T> {
  for (let tries = 1, pauseMs = PAUSE_MS; ; tries++, pauseMs = Math.min(2 * pauseMs, PAUSE_CEILING_MS)) {
    try {
      return await call();
    } catch (error) {
      const { code } = fromWire(toWire(error));
      const passes = code === 'unavailable' || code === 'overloaded' || code === 'corrupt';
      if (!passes || tries === TRIES) throw error;
    }
    await new Promise<void>((resolve) => clock.after(pauseMs, resolve));
  }
}
