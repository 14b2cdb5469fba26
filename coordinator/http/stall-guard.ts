import type { ServerResponse } from 'node:http';
import type { Clock, Timer } from '../../src/clock.js';

/** Disconnects a client that reads nothing of its answer for `timeoutMs`. Stops when the response closes. */
export class StallGuard {
  /** Null while the response waits for its turn on the connection, and after it has closed. */
  private timer: Timer | null = null;

  constructor(
    private readonly response: ServerResponse,
    private readonly clock: Clock,
    private readonly timeoutMs: number,
  ) {
    if (response.socket === null) response.once('socket', () => this.restart());
    else this.restart();
    response.once('close', () => this.timer?.cancel());
  }

  /** Restarts the timeout: the client has read something. */
  restart(): void {
    this.timer?.cancel();
    this.timer = null;
    const { response } = this;
    if (response.socket === null || response.closed || response.destroyed) return;
    this.timer = this.clock.after(this.timeoutMs, () => response.destroy());
  }
}
