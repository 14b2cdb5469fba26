import type { ServerResponse } from 'node:http';
import type { Clock, Timer } from '../../src/clock.js';

/** Cuts a client off that takes nothing of its answer for `timeoutMs`. Ends with the answer. */
export class StallGuard {
  /** Null while the answer waits for its turn on the connection, and when it is over. */
  private timer: Timer | null = null;

  constructor(
    private readonly response: ServerResponse,
    private readonly clock: Clock,
    private readonly timeoutMs: number,
  ) {
    if (response.socket === null) response.once('socket', () => this.moved());
    else this.moved();
    response.once('close', () => this.timer?.cancel());
  }

  /** The client took something. */
  moved(): void {
    this.timer?.cancel();
    this.timer = null;
    const { response } = this;
    if (response.socket === null || response.closed || response.destroyed) return;
    this.timer = this.clock.after(this.timeoutMs, () => response.destroy());
  }
}
