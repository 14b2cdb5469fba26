import type { Bus } from '../bus/bus.js';
import { Overloaded, Unavailable } from '../errors.js';

/**
 * Publishes what is said again, or whose loss is noticed, and so need not get through each time. False if the bus is lost, closed or
 * overloaded.
 */
export function publishBestEffort(bus: Bus, subject: string, payload: Uint8Array): boolean {
  if (!bus.connected) return false;
  try {
    bus.publish(subject, payload);
    return true;
  } catch (error) {
    if (error instanceof Unavailable || error instanceof Overloaded) return false;
    throw error;
  }
}
