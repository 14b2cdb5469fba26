import type { Clock } from '../clock.js';
import type { Log } from '../log.js';
import { PacedLog } from '../paced-log.js';

/** Logs messages on the bus that were dropped unread. */

const REASONS = {
  forged: [
    'warn',
    'messages on NATS do not carry the secret of this fleet, and were dropped; give each fleet a namespace of its own, and all its processes the same SHOAL_SECRET',
  ],
  replayed: [
    'warn',
    'messages on NATS came a second time, and the repetitions were dropped; if this goes on, somebody who can publish on NATS records and repeats messages: change the password of NATS',
  ],
  // Normal after a start, and after NATS or this process stood still.
  late: ['debug', 'messages on NATS came long after they were sent, and were dropped'],
  crowded: ['warn', 'messages on NATS came faster than this process handles them, and the oldest were dropped'],
} as const satisfies Record<string, readonly ['debug' | 'warn', string]>;

/** Makes the listener for `onDropped` of a sealed transport, and for messages that were lost because too many waited. */
export function droppedLog(log: Log, clock: Clock): (reason: keyof typeof REASONS, subject: string) => void {
  const paced = new PacedLog(log, clock);
  return (reason, subject) => {
    const [level, message] = REASONS[reason];
    paced[level]({ subject }, message);
  };
}
