import type { EventEmitter } from 'node:events';
import type { Clock } from '../src/clock.js';

/** A second Ctrl-C means "at once"; within this time after the first it is the same one, which npm hands on once more. */
export const SAME_INTERRUPT_MS = 750;

/** Signals by which users and supervisors end a program. */
export const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Signals that end the program: the first one requests a graceful stop, the second an immediate one. Under npm one Ctrl-C arrives
 * twice, from the terminal and from npm. A signal within `SAME_INTERRUPT_MS` of the first therefore counts as the first.
 */
export class Interrupts {
  readonly first: Promise<void>;
  readonly second: Promise<void>;
  private readonly listener: (signal?: NodeJS.Signals) => void;
  private firstSignal: NodeJS.Signals | null = null;

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
    this.listener = (signal) => {
      if (firstMs === null) {
        firstMs = clock.now();
        this.firstSignal = signal ?? null;
        begin();
      } else if (clock.now() - firstMs >= SAME_INTERRUPT_MS) {
        force();
      }
    };
    for (const signal of ENDING_SIGNALS) source.on(signal, this.listener);
  }

  /** The first signal; null if none came, or `raise` came first. */
  get signal(): NodeJS.Signals | null {
    return this.firstSignal;
  }

  /** Acts as a signal does. */
  raise(): void {
    this.listener();
  }

  close(): void {
    for (const signal of ENDING_SIGNALS) this.source.off(signal, this.listener);
  }
}
