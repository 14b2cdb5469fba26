import type { Bus } from '../bus/bus.js';
import { Overloaded, Unavailable } from '../errors.js';

/**
 * Publishes a message whose loss is tolerated. Returns false if the bus is lost, closed or overloaded.
 *
 * The loss is tolerated because the message is repeated, or because its receivers detect the loss.
 */
export function tryPublish(bus: Bus, subject: string, payload: Uint8Array): boolean {
  if (!bus.connected) return false;
  try {
    bus.publish(subject, payload);
    return true;
  } catch (error) {
    if (error instanceof Unavailable || error instanceof Overloaded) return false;
    throw error;
  }
}
