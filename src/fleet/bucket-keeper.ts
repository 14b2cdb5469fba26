import type { Bus, Subscription } from '../bus/bus.js';
import type { Clock, Timer } from '../clock.js';
import { ShoalError } from '../errors.js';
import type { FleetSubjects } from './subjects.js';

/** Checks regularly, and as soon as NATS may have lost its store, that the values of the fleet's buckets are there. */

const CHECK_INTERVAL_MS = 5_000;
/** Least time between two checks triggered by new processes, since many may start at once. */
const HELLO_INTERVAL_MS = 1_000;

export interface BucketKeeperOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly subjects: FleetSubjects;
  /** Each compares a value with this process's copy, and restores it. One that rejects with a `ShoalError` runs again at the next check. */
  readonly checks: readonly (() => Promise<void>)[];
}

export class BucketKeeper {
  private ticking: Timer | null = null;
  private hello: Subscription | null = null;
  private due: Timer | null = null;
  private unlisten: (() => void) | null = null;
  private running: Promise<void> | null = null;
  private checkedMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: BucketKeeperOptions) {}

  start(): void {
    const { bus, clock, subjects } = this.options;
    this.ticking = clock.every(CHECK_INTERVAL_MS, () => void this.check());
    this.unlisten = bus.onStatus((status) => {
      if (status === 'found') void this.check();
    });
    // A new process may be about to found a charter because it has found none, or a member has restored lost values.
    this.hello = bus.subscribe(subjects.hello, () => {
      const pauseMs = Math.max(this.checkedMs + HELLO_INTERVAL_MS - clock.now(), 0);
      this.due ??= clock.after(pauseMs, () => void this.check());
    });
  }

  stop(): void {
    this.ticking?.cancel();
    this.due?.cancel();
    this.unlisten?.();
    this.hello?.unsubscribe();
  }

  /** Runs all checks. While they run, a further call only waits for them. */
  check(): Promise<void> {
    this.due?.cancel();
    this.due = null;
    this.checkedMs = this.options.clock.now();
    this.running ??= this.runAll().finally(() => {
      this.running = null;
    });
    return this.running;
  }

  private async runAll(): Promise<void> {
    for (const check of this.options.checks) {
      try {
        await check();
      } catch (error) {
        // NATS is lost, or has no leader at the moment.
        if (!(error instanceof ShoalError)) throw error;
      }
    }
  }
}
