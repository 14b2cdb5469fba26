import { ANNOUNCE_INTERVAL_MS } from '../limits.js';
import { type Entry, isGone } from './membership-state.js';

/** Whether a process that hears none of the other workers is itself the cause. */

/** Time for a worker to refute a suspicion on the bus after its connection closed and no probe reached it. */
export const REFUTE_WITHIN_MS = 800;
/** An announcement that arrives this soon after a connection closed may have been sent before, and refutes nothing. */
export const IN_FLIGHT_MS = ANNOUNCE_INTERVAL_MS / 2;
/** How long a process that hears itself, and none of several workers that it heard before, blames itself. */
const ALONE_DOUBT_MS = 8_000;
/** A worker that announced itself within this time is heard: at the end of `REFUTE_WITHIN_MS`, since the connection of another closed. */
const HEARD_WITHIN_MS = REFUTE_WITHIN_MS - IN_FLIGHT_MS;

/** Whether none of several other workers is heard any more, though one was until recently. */
export function isAlone(entries: Iterable<[string, Entry]>, self: string | undefined, nowMs: number): boolean {
  const all = Array.from(entries, ([, entry]) => entry);
  const others = all.filter((entry) => !isGone(entry) && entry.announcement.id !== self);
  const silentMs = nowMs - Math.max(...others.map(({ heardAtMs }) => heardAtMs));
  return others.length > 1 && silentMs > HEARD_WITHIN_MS && silentMs < ALONE_DOUBT_MS;
}
