import { orAbort } from '../../src/async/abort.js';
import type { Clock, Timer } from '../../src/clock.js';
import { Cancelled } from '../../src/errors.js';
import { Recording } from './recording.js';
import type { Exchange, RouteAnswer } from './route.js';

/** The callbacks from a shared answer to its owner. */
interface SharedAnswerOwner {
  /** Limit on the bytes of the answer that are kept. */
  grew(bytes: number): void;
  /** The answer is complete, or it failed. */
  ended(ok: boolean): void;
}

export interface SharedAnswerOptions {
  readonly clock: Clock;
  /** Time for which a running answer waits for another client after the last one has disconnected. */
  readonly graceMs: number;
  readonly owner: SharedAnswerOwner;
}

type Kept = Exclude<RouteAnswer, { kind: 'events' }> | { readonly kind: 'recorded'; readonly recording: Recording };

/** An answer that is computed once, for all clients that ask for it. It is cancelled once all of them have been gone for the grace time. */
export class SharedAnswer {
  private readonly cancel = new AbortController();
  private readonly answer: Promise<Kept>;
  private recording: Recording | null = null;
  private clients = 0;
  private over = false;
  private forgotten = false;
  private grace: Timer | null = null;
  /** Ends the computation's use of limits, which the connection of the first client does not. */
  private readonly releaseUse: (() => void) | null;
  /** The route's callbacks for the delivery of its answer. */
  private closing: (() => void)[] = [];

  /** Begins to compute. `exchange` belongs to the first client, which must `join` too. */
  constructor(
    exchange: Exchange,
    compute: (exchange: Exchange) => RouteAnswer | Promise<RouteAnswer>,
    private readonly options: SharedAnswerOptions,
  ) {
    this.releaseUse = exchange.use?.hold() ?? null;
    const own: Exchange = { ...exchange, signal: this.cancel.signal, onClose: (listener) => this.onClose(listener) };
    this.answer = this.run(own, compute);
    this.answer.catch(() => {});
  }

  /** The whole answer for one more client. Rejects with the error of the computation, or the reason why the client's exchange was aborted. */
  async join(exchange: Exchange): Promise<RouteAnswer> {
    this.clients++;
    this.grace?.cancel();
    this.grace = null;
    exchange.onClose(() => this.leave(exchange.signal));
    const kept = await orAbort(this.answer, exchange.signal);
    return kept.kind === 'recorded' ? { kind: 'events', events: kept.recording.read(exchange.signal) } : kept;
  }

  /** No client joins any more: the start of a stream need not be kept. */
  forget(): void {
    this.forgotten = true;
    this.recording?.forgetStart();
  }

  /** Ends the computation. */
  abandon(reason: Error): void {
    this.grace?.cancel();
    this.cancel.abort(reason);
    void this.recording?.close().catch(() => {});
    this.end(false);
  }

  private async run(
    exchange: Exchange,
    compute: (exchange: Exchange) => RouteAnswer | Promise<RouteAnswer>,
  ): Promise<Kept> {
    try {
      const answer = await compute(exchange);
      if (answer.kind === 'events') return { kind: 'recorded', recording: this.record(answer.events) };
      const kept = answer.kind === 'json' ? textOf(answer) : answer;
      this.options.owner.grew(kept.kind === 'text' ? Buffer.byteLength(kept.text) : 0);
      this.end(true);
      return kept;
    } catch (error) {
      this.end(false);
      throw error;
    }
  }

  private record(events: AsyncIterable<object | string>): Recording {
    const recording = new Recording(events, {
      grew: (bytes) => this.options.owner.grew(bytes),
      ended: (ok) => this.end(ok),
    });
    this.recording = recording;
    if (this.forgotten) recording.forgetStart();
    if (this.cancel.signal.aborted) void recording.close().catch(() => {});
    return recording;
  }

  private leave(signal: AbortSignal): void {
    this.clients--;
    if (this.clients > 0) return;
    if (this.over) {
      this.release();
      return;
    }
    const { clock, graceMs } = this.options;
    const reason: unknown = signal.reason;
    const disconnected = reason instanceof Cancelled ? reason : new Cancelled('the client disconnected');
    if (signal.aborted && !(reason instanceof Cancelled)) this.abandon(reason as Error);
    else this.grace = clock.after(graceMs, () => this.abandon(disconnected));
  }

  private end(ok: boolean): void {
    if (this.over) return;
    this.over = true;
    this.releaseUse?.();
    this.options.owner.ended(ok);
    if (this.clients === 0) this.release();
  }

  private onClose(listener: () => void): void {
    if (this.over && this.clients === 0) listener();
    else this.closing.push(listener);
  }

  private release(): void {
    const closing = this.closing;
    this.closing = [];
    for (const listener of closing) listener();
  }
}

function textOf({ status, body }: Extract<RouteAnswer, { kind: 'json' }>): Kept {
  if (status !== 200) return { kind: 'json', status, body };
  return { kind: 'text', contentType: 'application/json; charset=utf-8', text: JSON.stringify(body) };
}
