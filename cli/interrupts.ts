import type { EventEmitter } from 'node:events';
import type { Clock } from '../src/clock.js';

/** A second Ctrl-C means "at once"; within this time after the first it is the same one, which npm hands on once more. @internal exported for tests. */
export const SAME_INTERRUPT_MS = 750;

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Signals that end the program: the first one requests a graceful stop, the second an immediate one. Under npm one Ctrl-C arrives
 * twice, from the terminal and from npm. A signal within `SAME_INTERRUPT_MS` of the first therefore counts as the first.
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

  /** Acts as a signal does. */
  raise(): void {
    this.listener();
  }

  close(): void {
    for (const signal of SIGNALS) this.source.off(signal, this.listener);
  }
}
