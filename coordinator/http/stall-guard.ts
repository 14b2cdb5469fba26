import type { ServerResponse } from 'node:http';
import type { Clock, Timer } from '../../src/clock.js';

/** Cuts a client off that takes nothing of its answer for `timeoutMs`. Ends with the answer. */
export class StallGuard {
  #timer: Timer;

  constructor(
    private readonly response: ServerResponse,
    private readonly clock: Clock,
    private readonly timeoutMs: number,
  ) {
    this.#timer = this.#wait();
    response.once('close', () => this.#timer.cancel());
  }

  /** The client took something. */
  moved(): void {
    this.#timer.cancel();
    if (!this.response.closed) this.#timer = this.#wait();
  }

  #wait(): Timer {
    return this.clock.after(this.timeoutMs, () => this.response.destroy());
  }
}
