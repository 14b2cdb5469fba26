import { setImmediate as turn } from 'node:timers/promises';

/**
 * Resolves when the direct connections of this process have passed all messages sent so far to the system: they gather the messages of one turn
 * of the event loop, and write at its end. A promise callback may send a message as late as in this turn.
 */
export async function afterSending(): Promise<void> {
  await turn();
  await turn();
}
