import { within } from '../../async/within.js';
import type { Clock } from '../../clock.js';
import type { Log } from '../../log.js';

/** Lets actors that end give back what they hold, such as timers, files and connections, which do not end with them. */

/** An actor that takes longer counts as done. */
const DISPOSAL_MS = 5_000;

type Dispose = () => unknown;

export class Disposals {
  private readonly running = new Set<Promise<void>>();

  constructor(
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /**
   * Calls an actor's `[Symbol.asyncDispose]` or `[Symbol.dispose]`, through `run`; null if its class has neither. Never rejects.
   * @param actor names it in the log
   */
  of(value: object, actor: string, run: (dispose: Dispose) => unknown): Promise<void> | null {
    const dispose = disposeOf(value);
    if (dispose === null) return null;
    const disposal = this.dispose(actor, async () => void (await run(dispose))).finally(() =>
      this.running.delete(disposal),
    );
    this.running.add(disposal);
    return disposal;
  }

  /** Resolves when all that have begun are done. */
  async done(): Promise<void> {
    await Promise.all(this.running);
  }

  private async dispose(actor: string, act: () => Promise<void>): Promise<void> {
    try {
      if (await within(this.clock, DISPOSAL_MS, act())) return;
      this.log.error({ actor }, `an actor that ended did not give back what it holds within ${DISPOSAL_MS} ms`);
    } catch (err) {
      this.log.error({ actor, err }, 'an actor that ended failed to give back what it holds');
    }
  }
}

/** Its method with which it gives back what it holds, of its class or a base class. */
function disposeOf(value: object): Dispose | null {
  const { [Symbol.asyncDispose]: later, [Symbol.dispose]: now } = value as Partial<AsyncDisposable & Disposable>;
  const dispose = later ?? now;
  return typeof dispose === 'function' ? dispose.bind(value) : null;
}
