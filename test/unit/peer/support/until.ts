import { settled } from '../../../../src/clock.js';

/** Lets the event loop turn until the condition holds. The test's own timeout ends a wait in vain. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await settled();
}
