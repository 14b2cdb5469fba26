import { Condition } from '../src/async/condition.js';
import type { Bus } from '../src/bus/bus.js';
import type { Clock } from '../src/clock.js';
import { Unavailable } from '../src/errors.js';
import { BUS_WAIT_MS } from '../src/limits.js';

/** Outages of the bus: lets requests wait for its return, and counts outages so that no worker is blamed for them. */
export class Outages {
  private outages = 0;
  private readonly restored: Condition;

  constructor(
    private readonly bus: Bus,
    clock: Clock,
  ) {
    this.restored = new Condition(clock);
    bus.onStatus((status) => {
      if (status === 'lost') this.outages++;
      else this.restored.notifyAll();
    });
  }

  /** Outages so far, including a current one. */
  get count(): number {
    return this.outages;
  }

  /** Resolves when the bus is connected. Rejects with `Unavailable` after `BUS_WAIT_MS`, or with `Cancelled` when `signal` aborts. */
  async waitForBus(signal: AbortSignal): Promise<void> {
    if (this.bus.connected || (await this.restored.wait(BUS_WAIT_MS, signal))) return;
    throw new Unavailable('cannot reach any worker: NATS is not connected; retry when /health/ready returns 200');
  }
}
