import type { Bus } from '../bus/bus.js';
import type { Log } from '../log.js';

/** Logs when this process loses NATS, and when it is connected again, perhaps to another server. */
export function logBusStatus(bus: Bus, log: Log): void {
  bus.onStatus((status) => {
    if (status === 'lost') log.warn({}, 'lost NATS; requests are served over direct connections');
    else log.info({}, 'connected to NATS again');
    if (status === 'found' && bus.shortcoming !== null)
      log.error({}, `large requests fail over NATS: ${bus.shortcoming}`);
  });
}
