import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Clock } from '../../src/clock.js';
import { Cancelled } from '../../src/errors.js';
import type { EventsAnswer } from './route.js';
import { StallGuard } from './stall-guard.js';

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  // Without it, nginx buffers the events.
  'x-accel-buffering': 'no',
};

/** Server-sent events to one client, with backpressure. Buffers at most one event beyond the socket's own buffer. */
export class EventSink {
  private readonly response: ServerResponse;
  private readonly clock: Clock;
  private readonly stallTimeoutMs: number;

  /** Sends the headers at once. Disconnects a client that reads nothing for `stallTimeoutMs`. */
  constructor(response: ServerResponse, headers: OutgoingHttpHeaders, clock: Clock, stallTimeoutMs: number) {
    this.response = response;
    this.clock = clock;
    this.stallTimeoutMs = stallTimeoutMs;
    if (!response.destroyed) response.writeHead(200, { ...HEADERS, ...headers });
  }

  /** Resolves when the socket has room for more. Rejects with `Cancelled` if the client has disconnected or stalled. */
  async send(data: string | readonly string[], name: string | null = null): Promise<void> {
    if (this.response.destroyed) throw new Cancelled('the client disconnected');
    const first = name === null ? '' : `event: ${name}\n`;
    const texts = typeof data === 'string' ? [data] : data;
    if (this.response.write(texts.map((text) => `${first}data: ${text}\n\n`).join(''))) return;
    await this.waitForDrain();
  }

  /** Ends the response. Events already sent are still delivered. */
  end(): void {
    if (this.response.destroyed) return;
    new StallGuard(this.response, this.clock, this.stallTimeoutMs);
    this.response.end();
  }

  private waitForDrain(): Promise<void> {
    const response = this.response;
    return new Promise((resolve, reject) => {
      const timer = this.clock.after(this.stallTimeoutMs, () => response.destroy());
      const settle = () => {
        timer.cancel();
        response.off('drain', settle).off('close', settle);
        if (response.destroyed) reject(new Cancelled('the client disconnected'));
        else resolve();
      };
      response.on('drain', settle).on('close', settle);
    });
  }
}

/** The text of an event or the texts of several, and its type as its name if events of this form are named. */
export function framed(
  event: object | string | readonly string[],
  form: EventsAnswer['form'],
): [data: string | readonly string[], name: string | null] {
  if (typeof event === 'string' || Array.isArray(event)) return [event, null];
  const data = JSON.stringify(event);
  return form === 'named' && 'type' in event && typeof event.type === 'string' ? [data, event.type] : [data, null];
}
