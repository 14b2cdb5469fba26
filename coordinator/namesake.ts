import { hostname } from 'node:os';
import type { Bus } from '../src/bus/bus.js';
import type { Clock } from '../src/clock.js';
import { Refused } from '../src/errors.js';
import { livingNamesake } from '../src/fleet/namesake-check.js';
import type { FleetSubjects } from '../src/fleet/subjects.js';
import type { Log } from '../src/log.js';
import { CoordinatorMessage } from '../src/protocol/announcement.js';
import { readMessage } from '../src/wire/read-message.js';
import type { Siblings } from './siblings.js';

/** Keeps two living coordinators from having one name. */

/** A process that hears another one of its name within this time of its start is the later one. @internal exported for tests. */
export const NEW_MS = 5_000;

export interface NamesakeOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly subjects: FleetSubjects;
  readonly id: string;
}

/** Listens before this process says its own name. Resolves with the error for it if another coordinator has that name, else with null. */
export async function namesakeAtStart({ bus, clock, subjects, id }: NamesakeOptions): Promise<Refused | null> {
  const other = await livingNamesake({
    ...{ bus, clock, subjects: { ask: subjects.hello, said: subjects.coordinator } },
    namesakeIn: (payload) => {
      const message = readMessage(CoordinatorMessage, payload);
      return message?.id === id ? message : null;
    },
  });
  return other && new Refused(taken(other));
}

/** Ends this process if it has just started, and hears another coordinator of its name only now. A process that runs for longer says so, and goes on. */
export function watchNamesakes(
  siblings: Pick<Siblings, 'onNamesake'>,
  { clock, log, end }: { readonly clock: Clock; readonly log: Log; readonly end: (why: string) => void },
): void {
  const newUntilMs = clock.now() + NEW_MS;
  siblings.onNamesake((other) => {
    if (clock.now() < newUntilMs) end(taken(other));
    else log.error({ pid: other.pid, host: other.host }, taken(other));
  });
}

function taken({ id, pid, host }: CoordinatorMessage): string {
  const where = host === hostname() ? 'this host' : host;
  return `another coordinator of this fleet is named ${id} too: process ${pid} on ${where}; give each a --coordinator-id (SHOAL_COORDINATOR_ID) of its own, or none`;
}
