import { Condition } from '../src/async/condition.js';
import type { Bus } from '../src/bus/bus.js';
import type { Clock } from '../src/clock.js';
import { Unavailable } from '../src/errors.js';

/** How long a request waits for a bus that is lost, before it is told so. @internal exported for tests. */
export const BUS_WAIT_MS = 15_000;

/** When the bus is lost: requests wait for it, and what it costs them is put down to no worker. */
export class Outages {
  private begun = 0;
  private readonly found: Condition;

  constructor(
    private readonly bus: Bus,
    clock: Clock,
  ) {
    this.found = new Condition(clock);
    bus.onStatus((status) => {
      if (status === 'lost') this.begun++;
      else this.found.notifyAll();
    });
  }

  /** Outages so far, the one that lasts among them. */
  get count(): number {
    return this.begun;
  }

  /** Resolves when the bus is there. Rejects with `Unavailable` after `BUS_WAIT_MS`, or with `Cancelled` if the signal comes first. */
  async over(signal: AbortSignal): Promise<void> {
    if (this.bus.connected || (await this.found.wait(BUS_WAIT_MS, signal))) return;
    throw new Unavailable('no worker can be asked, as NATS is not reached: try again when /health/ready says so');
  }
}
