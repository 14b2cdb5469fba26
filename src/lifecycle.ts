import { InternalError } from './errors.js';

/** Stops the parts of a process in the reverse order of their start, also when a start fails half-way. */

/** A part that works from `start` until `stop`. `stop` also undoes a `start` that failed half-way. */
export interface Startable {
  start(): void | Promise<void>;
  stop(): void | Promise<void>;
}

type Stop = () => unknown;

/**
 * The parts that a composition root has taken over so far. `stop` runs the stops one after another, the last part's first.
 * A stop that fails does not keep the others from running.
 */
export class Lifecycle {
  private readonly stops: Stop[] = [];
  private stopped: Promise<void> | null = null;

  /** Runs `build`. If it throws, all parts that it has handed over are stopped, and the error of `build` is thrown. */
  static async build<T>(build: (life: Lifecycle) => Promise<T>): Promise<T> {
    const life = new Lifecycle();
    try {
      return await build(life);
    } catch (error) {
      // The failed start is the cause; errors of stops that follow from it would hide it.
      await life.stop().catch(() => undefined);
      throw error;
    }
  }

  /** Takes over a part that exists: `stop` is called with it when all parts stop. */
  use<T>(part: T, stop: (part: T) => unknown): T {
    if (this.stopped) throw new InternalError('a part cannot be added to a lifecycle that has stopped');
    this.stops.push(() => stop(part));
    return part;
  }

  /** Starts a part. Its `stop` is registered first, so that it also runs if the start fails. */
  async start<T extends Startable>(part: T): Promise<T> {
    this.use(part, (started) => started.stop());
    await part.start();
    return part;
  }

  /** Stops all parts, and rejects with the first error of a stop once all stops have run. Idempotent. */
  stop(): Promise<void> {
    this.stopped ??= this.stopAll();
    return this.stopped;
  }

  private async stopAll(): Promise<void> {
    const errors: unknown[] = [];
    for (const stop of this.stops.toReversed()) {
      try {
        await stop();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}
