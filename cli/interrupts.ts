import type { EventEmitter } from 'node:events';
import type { Clock } from '../src/clock.js';

/** A second Ctrl-C means "at once"; within this time after the first it is the same one, which npm hands on once more. @internal exported for tests. */
export const SAME_INTERRUPT_MS = 750;

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * The user's wish to end: the first signal asks for a stop in good order, a second one for a stop at once. Under npm one Ctrl-C
 * arrives twice, from the terminal and from npm: what follows within `SAME_INTERRUPT_MS` is the same one.
 */
export class Interrupts {
  readonly first: Promise<void>;
  readonly second: Promise<void>;
  private readonly listener: () => void;

  constructor(
    private readonly source: EventEmitter,
    clock: Clock,
  ) {
    let begin: () => void;
    let force: () => void;
    this.first = new Promise((resolve) => {
      begin = resolve;
    });
    this.second = new Promise((resolve) => {
      force = resolve;
    });
    let firstMs: number | null = null;
    this.listener = () => {
      if (firstMs === null) {
        firstMs = clock.now();
        begin();
      } else if (clock.now() - firstMs >= SAME_INTERRUPT_MS) {
        force();
      }
    };
    for (const signal of SIGNALS) source.on(signal, this.listener);
  }

  /** Asks for a stop as a signal does. */
  raise(): void {
    this.listener();
  }

  close(): void {
    for (const signal of SIGNALS) this.source.off(signal, this.listener);
  }
}
