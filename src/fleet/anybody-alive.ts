import type { Transport } from '../bus/transport.js';
import type { Clock } from '../clock.js';
import type { Alive } from './charter.js';
import { tryPublish } from './try-publish.js';

/** Listens whether members of a fleet live, or others on its subjects. */

export interface HeardSubjects {
  /** Where members announce themselves. */
  readonly said: readonly string[];
  /** Where they are asked to; null for a process that may not ask: it waits for their next announcements. */
  readonly ask: string | null;
}

/** Listens for at most `timeMs`. Resolves with `unknown` if the bus is lost, because members could be missed. */
export async function anybodyAlive(
  { bus, strangerMessages = () => 0 }: Transport,
  clock: Clock,
  { said, ask }: HeardSubjects,
  timeMs: number,
): Promise<Alive> {
  const before = strangerMessages();
  const endings: (() => void)[] = [];
  try {
    return await new Promise<Alive>((resolve) => {
      const timer = clock.after(timeMs, () => resolve(strangerMessages() > before ? 'strangers' : 'nobody'));
      endings.push(
        () => timer.cancel(),
        bus.onStatus(() => resolve('unknown')),
      );
      for (const subject of said) {
        const subscription = bus.subscribe(subject, () => resolve('members'));
        endings.push(() => subscription.unsubscribe());
      }
      if (ask === null ? !bus.connected : !tryPublish(bus, ask, new Uint8Array())) resolve('unknown');
    });
  } finally {
    for (const end of endings) end();
  }
}
