import type { Clock, Timer } from '../../src/clock.js';
import { Heap } from '../../src/core/heap.js';
import { InternalError } from '../../src/errors.js';

/** Virtual time: a queue of events, which are handled one after another. */

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly handle: () => void | Promise<void>;
  heapIndex: number;
}

/** A clock that stands still until `run` advances it to the next event. Events of one time are handled in the order in which they were set. */
export class EventQueue implements Clock {
  private readonly events = new Heap<Event>((a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order));
  private nowMs = 0;
  private orders = 0;

  now(): number {
    return this.nowMs;
  }

  at(atMs: number, handle: Event['handle']): Timer {
    const event: Event = { atMs: Math.max(atMs, this.nowMs), order: this.orders++, handle, heapIndex: -1 };
    this.events.add(event);
    return { cancel: () => event.heapIndex !== -1 && this.events.remove(event) };
  }

  after(delayMs: number, handle: Event['handle']): Timer {
    return this.at(this.nowMs + delayMs, handle);
  }

  every(): Timer {
    throw new InternalError('virtual time has no intervals: it would never end');
  }

  /** Handles all events, and the events that they add, until none is left. */
  async run(): Promise<void> {
    for (let event = this.events.first(); event !== undefined; event = this.events.first()) {
      this.events.remove(event);
      this.nowMs = event.atMs;
      const pending = event.handle();
      if (pending) await pending;
    }
  }
}
