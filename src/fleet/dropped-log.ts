import type { Clock } from '../clock.js';
import type { Log } from '../log.js';
import { PacedLog } from '../paced-log.js';

/** Logs messages on the bus that were dropped unread. */

const REASONS = {
  forged:
    'messages on NATS do not carry the secret of this fleet, and were dropped; give each fleet a namespace of its own, and all its processes the same SHOAL_SECRET',
  replayed:
    'messages on NATS were repeated, or came long after they were sent, or before their sender had proved itself; they were dropped',
  crowded: 'messages on NATS came faster than this process handles them, and the oldest were dropped',
};

/** Makes the listener for `onDropped` of a sealed transport, and for messages that were lost because too many waited. */
export function droppedLog(log: Log, clock: Clock): (reason: keyof typeof REASONS, subject: string) => void {
  const paced = new PacedLog(log, clock);
  return (reason, subject) => paced.warn({ subject }, REASONS[reason]);
}
