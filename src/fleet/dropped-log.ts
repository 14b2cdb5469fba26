import type { Clock } from '../clock.js';
import type { Log } from '../log.js';

/** Logs messages on the bus that were dropped as no member of the fleet sent them, at most once in this time. */

const INTERVAL_MS = 60_000;

const REASONS = {
  forged:
    'messages on NATS do not carry the secret of this fleet, and were dropped; give each fleet a namespace of its own, and all its processes the same SHOAL_SECRET',
  replayed: 'messages on NATS were repeated, and dropped',
};

/** Makes the listener for `onDropped` of a sealed transport. */
export function droppedLog(log: Log, clock: Clock): (reason: keyof typeof REASONS, subject: string) => void {
  const dropped = { forged: 0, replayed: 0 };
  const loggedMs = { forged: Number.NEGATIVE_INFINITY, replayed: Number.NEGATIVE_INFINITY };
  return (reason, subject) => {
    dropped[reason]++;
    if (clock.now() - loggedMs[reason] < INTERVAL_MS) return;
    loggedMs[reason] = clock.now();
    log.warn({ count: dropped[reason], subject }, REASONS[reason]);
    dropped[reason] = 0;
  };
}
