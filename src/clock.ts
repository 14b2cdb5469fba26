/** Time as a port: the machine's, or one that only a test moves. */
export interface Clock {
  /** Milliseconds. Never goes back; only differences mean something. */
  now(): number;
  /** Calls `fn` once, `delayMs` from now. */
  after(delayMs: number, fn: () => void): Timer;
  /** Calls `fn` every `intervalMs` until cancelled. Does not keep the process alive. */
  every(intervalMs: number, fn: () => void): Timer;
}

export interface Timer {
  /** Idempotent; after it the function is not called again. */
  cancel(): void;
}

/** setTimeout fires at once for longer delays than this. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** The machine's monotonic clock. */
export class SystemClock implements Clock {
  private readonly originMs = performance.timeOrigin;

  now(): number {
    return this.originMs + performance.now();
  }

  after(delayMs: number, fn: () => void): Timer {
    const handle = setTimeout(fn, Math.min(Math.max(delayMs, 0), LONGEST_TIMEOUT_MS));
    return { cancel: () => clearTimeout(handle) };
  }

  every(intervalMs: number, fn: () => void): Timer {
    const handle = setInterval(fn, intervalMs);
    handle.unref();
    return { cancel: () => clearInterval(handle) };
  }
}

interface Due {
  atMs: number;
  order: number;
  readonly fn: () => void;
  /** Null for a timer that fires once. */
  readonly intervalMs: number | null;
}

/** Virtual time: stands still until it is moved. Timers due at the same time fire in the order in which they were set. */
export class SimulatedClock implements Clock {
  private nowMs: number;
  private order = 0;
  private readonly timers = new Set<Due>();

  constructor(startMs = 0) {
    this.nowMs = startMs;
  }

  now(): number {
    return this.nowMs;
  }

  after(delayMs: number, fn: () => void): Timer {
    return this.set({ atMs: this.nowMs + Math.max(delayMs, 0), order: this.order++, fn, intervalMs: null });
  }

  every(intervalMs: number, fn: () => void): Timer {
    return this.set({ atMs: this.nowMs + intervalMs, order: this.order++, fn, intervalMs });
  }

  /** When the next timer is due; null if there is none. */
  nextAtMs(): number | null {
    return this.next()?.atMs ?? null;
  }

  /** Moves to the next timer and fires it. False if there is none. */
  step(): boolean {
    const due = this.next();
    if (!due) return false;
    this.nowMs = Math.max(this.nowMs, due.atMs);
    if (due.intervalMs === null) {
      this.timers.delete(due);
    } else {
      due.atMs += due.intervalMs;
      due.order = this.order++;
    }
    due.fn();
    return true;
  }

  /** Moves time on, firing what is due; before, between and after timers, all promises that can go on do so. */
  async advance(byMs: number): Promise<void> {
    const untilMs = this.nowMs + byMs;
    await settled();
    for (let due = this.next(); due && due.atMs <= untilMs; due = this.next()) {
      this.step();
      await settled();
    }
    this.nowMs = untilMs;
  }

  private next(): Due | undefined {
    let first: Due | undefined;
    for (const due of this.timers) {
      if (!first || due.atMs < first.atMs || (due.atMs === first.atMs && due.order < first.order)) first = due;
    }
    return first;
  }

  private set(due: Due): Timer {
    this.timers.add(due);
    return { cancel: () => this.timers.delete(due) };
  }
}

/** Resolves when no promise callback is left to run. @internal exported for tests. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
