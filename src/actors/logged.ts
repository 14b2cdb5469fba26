import type { Log } from '../log.js';
import type { ActorEvent, ObserveActors } from './event.js';

/** Writes down what goes wrong with the actors of this process; what was merely dropped, at level debug. */
export function logged(log: Log): ObserveActors {
  return (event: ActorEvent) => {
    if (event.type === 'dropped') {
      log.debug({ reason: event.reason, what: event.what }, 'a message was dropped');
      return;
    }
    const { actor, error: err } = event;
    if (event.type === 'crashed') log.error({ actor, err, restartAfterMs: event.restartAfterMs }, 'an actor crashed');
    else if (event.type === 'gaveUp') log.error({ actor, err }, 'an actor crashed too often and is not started again');
    else log.error({ actor, err }, 'an actor could not give back what it held');
  };
}
