import type { Bus } from '../src/bus/bus.js';
import type { Clock, Timer } from '../src/clock.js';
import { Unavailable } from '../src/errors.js';

/** Moves requests away from workers that are reachable only over NATS, while NATS is lost. */

/**
 * How long such a request waits for NATS, in one outage or in several without a word from the worker, before another worker continues it. After a
 * shorter time it is cheaper to wait.
 */
const STRANDED_MS = 3_000;
const LOOK_INTERVAL_MS = 1_000;

/** A request on a worker. */
interface Run {
  /** Whether the worker can be reached now. */
  readonly reachable: () => boolean;
  /** Whether another worker can be reached that may take the request. */
  readonly elsewhere: () => boolean;
  /** Ends the call to the worker. */
  readonly leave: () => void;
  /** For how long NATS was lost since the worker was heard last. */
  stalledMs: number;
}

/** Ends calls that stall because NATS is lost, if another worker can continue. */
export class Stranded {
  private readonly runs = new Set<Run>();
  private looking: Timer | null = null;

  constructor(bus: Pick<Bus, 'onStatus'>, clock: Clock) {
    bus.onStatus((status) => {
      this.looking?.cancel();
      this.looking = status === 'lost' ? clock.every(LOOK_INTERVAL_MS, () => this.look()) : null;
    });
  }

  /**
   * Follows the call that `call` makes with its signal, which also aborts with `signal`.
   * @throws Unavailable if the call stalled, and another worker can continue; else the errors of the call
   */
  async *follow<T>(
    { reachable, elsewhere }: Pick<Run, 'reachable' | 'elsewhere'>,
    signal: AbortSignal,
    call: (signal: AbortSignal) => AsyncIterable<T>,
  ): AsyncGenerator<T> {
    const ending = new AbortController();
    const abort = () => ending.abort(signal.reason);
    const run = { reachable, elsewhere, leave: () => ending.abort(), stalledMs: 0 };
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    this.runs.add(run);
    try {
      for await (const item of call(ending.signal)) {
        run.stalledMs = 0;
        yield item;
      }
    } catch (error) {
      if (!ending.signal.aborted || signal.aborted) throw error;
      throw new Unavailable('NATS, the only way to the worker of the request, was lost; another worker continues it');
    } finally {
      this.runs.delete(run);
      signal.removeEventListener('abort', abort);
    }
  }

  private look(): void {
    for (const run of this.runs) {
      run.stalledMs = run.reachable() ? 0 : run.stalledMs + LOOK_INTERVAL_MS;
      if (run.stalledMs >= STRANDED_MS && run.elsewhere()) run.leave();
    }
  }
}
