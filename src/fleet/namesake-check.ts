import type { Bus } from '../bus/bus.js';
import type { Clock } from '../clock.js';
import { tryPublish } from './try-publish.js';

/** Listens for a living process with the name of this one, before this one says its name. */

/** How long a process that starts listens for another one with its name. A living one answers at once; a dead one cannot. @internal exported for tests. */
export const LISTEN_MS = 600;
const ASK_INTERVAL_MS = 200;

export interface NamesakeCheck<T> {
  readonly bus: Bus;
  readonly clock: Clock;
  /** Where processes are asked to say their names, and where they say them. */
  readonly subjects: { readonly ask: string; readonly said: string };
  /** The process in a message if it has the name, else null. */
  readonly namesakeIn: (payload: Uint8Array) => T | null;
}

/** Resolves with another process that has the name, or with null after `LISTEN_MS`. */
export async function livingNamesake<T>({ bus, clock, subjects, namesakeIn }: NamesakeCheck<T>): Promise<T | null> {
  const endings: (() => void)[] = [];
  const ask = () => tryPublish(bus, subjects.ask, new Uint8Array());
  try {
    return await new Promise((resolve) => {
      const asking = clock.every(ASK_INTERVAL_MS, ask);
      const listening = clock.after(LISTEN_MS, () => resolve(null));
      const subscription = bus.subscribe(subjects.said, ({ payload }) => {
        const other = namesakeIn(payload);
        if (other !== null) resolve(other);
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
