import type { ServerResponse } from 'node:http';
import type { Clock } from '../../src/clock.js';
import { Cancelled } from '../../src/errors.js';
import { StallGuard } from './stall-guard.js';

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  // nginx would collect the events otherwise.
  'x-accel-buffering': 'no',
};

/** Server-sent events to one client. Keeps no more than one event beyond what the socket takes. */
export class EventSink {
  private readonly response: ServerResponse;
  private readonly clock: Clock;
  private readonly stallTimeoutMs: number;

  /** Sends the headers at once. A client that takes nothing for `stallTimeoutMs` is cut off. */
  constructor(response: ServerResponse, headers: Record<string, string>, clock: Clock, stallTimeoutMs: number) {
    this.response = response;
    this.clock = clock;
    this.stallTimeoutMs = stallTimeoutMs;
    if (!response.destroyed) response.writeHead(200, { ...HEADERS, ...headers });
  }

  /** Resolves when the client has room for more. Rejects with `Cancelled` if it went away or is cut off. */
  async send(data: string): Promise<void> {
    if (this.response.destroyed) throw new Cancelled('the client went away');
    if (this.response.write(`data: ${data}\n\n`)) return;
    await this.room();
  }

  /** Nothing follows. What was sent is still delivered. */
  end(): void {
    if (this.response.destroyed) return;
    new StallGuard(this.response, this.clock, this.stallTimeoutMs);
    this.response.end();
  }

  private room(): Promise<void> {
    const response = this.response;
    return new Promise((resolve, reject) => {
      const timer = this.clock.after(this.stallTimeoutMs, () => response.destroy());
      const settle = () => {
        timer.cancel();
        response.off('drain', settle).off('close', settle);
        if (response.destroyed) reject(new Cancelled('the client went away'));
        else resolve();
      };
      response.on('drain', settle).on('close', settle);
    });
  }
}
