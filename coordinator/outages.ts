import type { ActorSystem } from '../src/actors/system.js';
import { Condition } from '../src/async/condition.js';
import type { Bus } from '../src/bus/bus.js';
import type { Clock } from '../src/clock.js';
import { Unavailable } from '../src/errors.js';

/** Outages of NATS: lets requests wait for a route to a worker, and counts outages so that they are not attributed to workers. */

/** How long a request waits for a route to any worker before it fails. */
export const BUS_WAIT_MS = 15_000;

export class Outages {
  private outages = 0;
  private readonly routesChanged: Condition;

  constructor(bus: Bus, actors: ActorSystem, clock: Clock) {
    this.routesChanged = new Condition(clock);
    bus.onStatus((status) => {
      if (status === 'lost') this.outages++;
    });
    actors.onRoutesChanged(() => this.routesChanged.notifyAll());
  }

  /** Outages so far, including a current one. */
  get count(): number {
    return this.outages;
  }

  /**
   * Resolves when another worker may be reachable: NATS is back, or a direct link opened.
   * @throws Unavailable after `timeoutMs`, Cancelled when `signal` aborts
   */
  async waitForRoute(timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (timeoutMs > 0 && (await this.routesChanged.wait(timeoutMs, signal))) return;
    throw new Unavailable('cannot reach any worker, directly or over NATS; retry when /health/ready returns 200');
  }
}
