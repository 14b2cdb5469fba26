import type { ActorSystem } from '../src/actors/system.js';
import { Condition } from '../src/async/condition.js';
import type { Bus } from '../src/bus/bus.js';
import type { Clock } from '../src/clock.js';
import { Unavailable } from '../src/errors.js';

/** How long a request waits for a route to any worker before it fails. */
export const BUS_WAIT_MS = 15_000;

/** Outages of NATS: a request waits for a route to a worker, and no worker is blamed for what an outage cost. */
export class Outages {
  private begun = 0;
  private readonly changed: Condition;

  constructor(bus: Bus, actors: ActorSystem, clock: Clock) {
    this.changed = new Condition(clock);
    bus.onStatus((status) => {
      if (status === 'lost') this.begun++;
    });
    actors.onRoutesChanged(() => this.changed.notifyAll());
  }

  /** Outages so far, the one that lasts among them. */
  get count(): number {
    return this.begun;
  }

  /**
   * Resolves when another worker may be reachable: NATS was found, or a direct link opened.
   * @throws Unavailable after `timeoutMs`, Cancelled if the signal comes first
   */
  async routesChange(timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (timeoutMs > 0 && (await this.changed.wait(timeoutMs, signal))) return;
    throw new Unavailable('no worker can be reached, directly or over NATS; try again when /health/ready says so');
  }
}
