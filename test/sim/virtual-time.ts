import { type Due, EventQueue } from './event-queue.js';
import { rest } from './turns.js';

/** Virtual time, and the events that are due in it. */

/** Wall clock at the beginning of a simulation, in milliseconds since 1970. */
export const WALL_ORIGIN_MS = 1_700_000_000_000;

export interface Pending {
  cancel(): void;
}

/** Events at one moment happen in the order in which they were set. After each of them everything runs until it rests. */
export class VirtualTime {
  nowMs = 0;
  /** Events that have happened. */
  events = 0;
  private order = 0;
  private readonly due = new EventQueue();

  /** @param onError receives what an event throws */
  constructor(private readonly onError: (error: unknown) => void) {}

  at(atMs: number, run: () => void): Pending {
    const due: Due = { atMs: Math.max(atMs, this.nowMs), order: this.order++, run };
    this.due.add(due);
    return {
      cancel: () => {
        due.run = null;
      },
    };
  }

  after(delayMs: number, run: () => void): Pending {
    return this.at(this.nowMs + Math.max(0, delayMs), run);
  }

  /** Lets time pass until `untilMs`, or until `over` is true. To be called outside any promise callback. */
  runUntil(untilMs: number, over: () => boolean = () => false): void {
    this.settle(() => {});
    for (let next = this.due.first(); next && next.atMs <= untilMs && !over(); next = this.due.first()) {
      const run = next.run!;
      next.run = null;
      this.due.removeFirst();
      this.nowMs = next.atMs;
      this.events++;
      this.settle(run);
    }
    if (!over()) this.nowMs = Math.max(this.nowMs, untilMs);
  }

  private settle(run: () => void): void {
    try {
      run();
      rest();
    } catch (error) {
      this.onError(error);
    }
  }
}
