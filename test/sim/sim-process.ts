import type { Clock, Timer } from '../../src/clock.js';
import type { Pending, VirtualTime } from './virtual-time.js';

/** One simulated operating-system process: it runs, stands still, or is dead. */

interface SetTimer extends Timer {
  pending: Pending | null;
  cancelled: boolean;
  readonly fn: () => void;
  /** Null for a timer that fires once. In virtual time. */
  readonly intervalMs: number | null;
}

export interface ProcessClockOptions {
  /** What the clock shows at the beginning of the simulation. */
  readonly originMs: number;
  /** Milliseconds that the clock shows for one of virtual time. */
  readonly rate: number;
}

/**
 * A process of the simulated fleet. While it stands still, no timer of it fires and no message reaches it; afterwards the timers that are due
 * fire first, each once, and then all messages arrive, in order, as an event loop has it.
 */
export class SimProcess {
  private state: 'running' | 'paused' | 'dead' = 'running';
  private readonly backlog: (() => void)[] = [];
  /** Timers that were due during a pause. */
  private readonly late: SetTimer[] = [];
  private readonly endings: (() => void)[] = [];
  readonly clock: Clock;

  constructor(
    /** Where it runs: a process that is started again has the same host. */
    readonly host: string,
    /** Different for each start. */
    readonly serial: number,
    readonly time: VirtualTime,
    clock: ProcessClockOptions,
  ) {
    this.clock = this.makeClock(clock);
  }

  get alive(): boolean {
    return this.state !== 'dead';
  }

  get running(): boolean {
    return this.state === 'running';
  }

  /** Has it run what comes from outside: at once, after its pause, or never. */
  post(run: () => void): void {
    if (this.state === 'running') run();
    else if (this.state === 'paused') this.backlog.push(run);
  }

  /** Calls `ending` when the process dies. */
  onDeath(ending: () => void): void {
    if (this.state === 'dead') ending();
    else this.endings.push(ending);
  }

  pause(): void {
    if (this.state === 'running') this.state = 'paused';
  }

  resume(): void {
    if (this.state !== 'paused') return;
    this.state = 'running';
    for (const timer of this.late.splice(0)) this.time.after(0, () => this.fire(timer));
    for (const run of this.backlog.splice(0)) this.time.after(0, () => this.post(run));
  }

  kill(): void {
    if (this.state === 'dead') return;
    this.state = 'dead';
    this.backlog.length = 0;
    this.late.length = 0;
    for (const ending of this.endings.splice(0)) ending();
  }

  private makeClock({ originMs, rate }: ProcessClockOptions): Clock {
    const { time } = this;
    return {
      now: () => originMs + time.nowMs * rate,
      after: (delayMs, fn) => this.set(Math.max(0, delayMs) / rate, fn, null),
      every: (intervalMs, fn) => this.set(intervalMs / rate, fn, intervalMs / rate),
    };
  }

  private set(delayMs: number, fn: () => void, intervalMs: number | null): Timer {
    if (this.state === 'dead') return { cancel: () => {} };
    const timer: SetTimer = {
      pending: null,
      cancelled: false,
      fn,
      intervalMs,
      cancel: () => {
        timer.cancelled = true;
        timer.pending?.cancel();
      },
    };
    this.arm(timer, delayMs);
    return timer;
  }

  private arm(timer: SetTimer, delayMs: number): void {
    timer.pending = this.time.after(delayMs, () => this.fire(timer));
  }

  private fire(timer: SetTimer): void {
    if (timer.cancelled || this.state === 'dead') return;
    if (this.state === 'paused') {
      this.late.push(timer);
      return;
    }
    if (timer.intervalMs !== null) this.arm(timer, timer.intervalMs);
    timer.fn();
  }
}
