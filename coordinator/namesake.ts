import { hostname } from 'node:os';
import type { Bus } from '../src/bus/bus.js';
import type { Clock } from '../src/clock.js';
import { Refused } from '../src/errors.js';
import type { FleetSubjects } from '../src/fleet/subjects.js';
import { tryPublish } from '../src/fleet/try-publish.js';
import type { Log } from '../src/log.js';
import { CoordinatorMessage } from '../src/protocol/announcement.js';
import { readMessage } from '../src/wire/read-message.js';
import type { Siblings } from './siblings.js';

/** Keeps two living coordinators from having one name. */

/** How long a process that starts listens for a coordinator with its name. They answer at once; a dead one cannot. @internal exported for tests. */
export const LISTEN_MS = 600;
const ASK_INTERVAL_MS = 200;
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
  const endings: (() => void)[] = [];
  const ask = () => tryPublish(bus, subjects.hello, new Uint8Array());
  try {
    return await new Promise((resolve) => {
      const asking = clock.every(ASK_INTERVAL_MS, ask);
      const listening = clock.after(LISTEN_MS, () => resolve(null));
      const subscription = bus.subscribe(subjects.coordinator, ({ payload }) => {
        const other = readMessage(CoordinatorMessage, payload);
        if (other?.id === id) resolve(new Refused(taken(other)));
      });
      endings.push(
        () => asking.cancel(),
        () => listening.cancel(),
        () => subscription.unsubscribe(),
      );
      ask();
    });
  } finally {
    for (const end of endings) end();
  }
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
