import type { Clock } from '../../src/clock.js';
import { SUSPECT_AFTER_MS } from '../../src/limits.js';
import type { SuspicionMessage } from '../../src/protocol/suspicion.js';

/** The other coordinators that are heard over workers, because NATS does not carry their messages or this one's. */

/** How long a coordinator counts as heard. */
const HEARD_FOR_MS = 2 * SUSPECT_AFTER_MS;

interface Heard {
  readonly atMs: number;
  /** Whether it does not hear NATS. */
  readonly deaf: boolean;
}

export class Presence {
  private readonly others = new Map<string, Heard>();

  constructor(private readonly clock: Pick<Clock, 'now'>) {}

  hear(message: SuspicionMessage): void {
    const deaf = message.type === 'here' ? message.deaf : (this.others.get(message.from)?.deaf ?? false);
    const nowMs = this.clock.now();
    for (const [from, { atMs }] of this.others) if (atMs + HEARD_FOR_MS <= nowMs) this.others.delete(from);
    this.others.set(message.from, { atMs: nowMs, deaf });
  }

  /** Whether any other coordinator was heard lately. */
  get anybody(): boolean {
    return this.some(() => true);
  }

  /** Whether one was heard lately that does not hear NATS. */
  get anybodyDeaf(): boolean {
    return this.some(({ deaf }) => deaf);
  }

  private some(is: (heard: Heard) => boolean): boolean {
    const sinceMs = this.clock.now() - HEARD_FOR_MS;
    return [...this.others.values()].some((heard) => heard.atMs > sinceMs && is(heard));
  }
}
