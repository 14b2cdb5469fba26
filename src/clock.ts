/** The port to time: a system clock, and a simulated clock that tests advance. */
export interface Clock {
  /** Monotonic milliseconds; only differences are meaningful. */
  now(): number;
  /** Calls `fn` once, `delayMs` from now. */
  after(delayMs: number, fn: () => void): Timer;
  /** Calls `fn` every `intervalMs` until cancelled. Does not keep the process alive. */
  every(intervalMs: number, fn: () => void): Timer;
}

export interface Timer {
  /** Prevents further calls of the function. Idempotent. */
  cancel(): void;
}

/** setTimeout fires at once for delays longer than this. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** The monotonic clock of the machine. */
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

/** Virtual time, which stands still until it is advanced. Timers that are due at the same time fire in the order in which they were set. */
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

  /** The time at which the next timer is due; null if there is none. */
  nextAtMs(): number | null {
    return this.next()?.atMs ?? null;
  }

  /** Whether a timer is due at this time. */
  isDueAt(atMs: number): boolean {
    return [...this.timers].some((due) => due.atMs === atMs);
  }

  /** Advances to the next timer and fires it; false if there is none. */
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

  /** Advances time and fires the timers that are due. Runs all pending promise callbacks before, between and after them. */
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

/** Resolves when no promise callback is pending. @internal exported for tests. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
