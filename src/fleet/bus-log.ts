import type { Bus } from '../bus/bus.js';
import { Unavailable } from '../errors.js';
import type { PacedLog } from '../paced-log.js';

/** Waits until the bus has answered to all that this process has said so far: refusals included. Does nothing while the bus is lost. */
export async function settled(bus: Bus): Promise<void> {
  await bus.flush().catch((error: unknown) => {
    if (!(error instanceof Unavailable)) throw error;
  });
}

/** Logs when this process loses NATS, and when it is connected again, perhaps to another server. */
export function logBusStatus(bus: Bus, log: PacedLog): void {
  bus.onStatus((status) => {
    const is =
      status === 'lost'
        ? 'lost NATS; members reach each other over direct connections alone'
        : 'connected to NATS again';
    log.state('nats', 'warn', {}, is);
    if (status === 'found' && bus.shortcoming !== null)
      log.error({}, `some messages fail over NATS: ${bus.shortcoming}`);
  });
}
