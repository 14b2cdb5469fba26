import type { Clock, Timer } from '../clock.js';

/** Aborts what has brought nothing for a while, or when an outer signal aborts. */
export class Stall {
  private readonly abort = new AbortController();
  private readonly timer: Timer;
  private readonly onAbort = () => this.abort.abort(this.outer.reason);
  private heardAtMs: number;

  constructor(
    private readonly clock: Clock,
    private readonly stallMs: number,
    readonly outer: AbortSignal,
  ) {
    this.heardAtMs = clock.now();
    outer.addEventListener('abort', this.onAbort, { once: true });
    if (outer.aborted) this.onAbort();
    this.timer = clock.every(stallMs / 4, () => this.check());
  }

  get signal(): AbortSignal {
    return this.abort.signal;
  }

  /** Why an operation ended with an error: what aborted it, else the error. */
  reason(error: unknown): unknown {
    return this.abort.signal.aborted ? this.abort.signal.reason : error;
  }

  heard(): void {
    this.heardAtMs = this.clock.now();
  }

  /** Must be called in the end. */
  end(): void {
    this.timer.cancel();
    this.outer.removeEventListener('abort', this.onAbort);
  }

  private check(): void {
    const silentMs = this.clock.now() - this.heardAtMs;
    if (silentMs >= this.stallMs) this.abort.abort(new Error(`nothing came for ${this.stallMs / 1000} s`));
  }
}
