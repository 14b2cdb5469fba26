import type { Log } from '../log.js';
import type { ActorEvent, ObserveActors } from './event.js';

/** Logs the failures of this process's actors as errors, and dropped messages at level debug. */
export function logged(log: Log): ObserveActors {
  return (event: ActorEvent) => {
    if (event.type === 'dropped') {
      log.debug({ reason: event.reason, what: event.what }, 'a message was dropped');
      return;
    }
    const { actor, error: err } = event;
    if (event.type === 'crashed') log.error({ actor, err, restartAfterMs: event.restartAfterMs }, 'an actor crashed');
    else if (event.type === 'gaveUp') log.error({ actor, err }, 'an actor crashed too often and is not restarted');
    else log.error({ actor, err }, 'an actor failed to release a resource');
  };
}
