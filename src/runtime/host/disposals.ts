import { within } from '../../async/within.js';
import type { Clock } from '../../clock.js';
import type { Log } from '../../log.js';
import { packThrown } from '../values/error-value.js';

/** Lets actors that end give back what they hold, such as timers, files and connections, which do not end with them. */

/** An actor that takes longer counts as done. */
const DISPOSAL_MS = 5_000;

type Dispose = () => unknown;

/** An actor that has ended. */
interface Ended {
  readonly value: object;
  /** Names it in the log. */
  readonly actor: string;
  /** Resolves when none of its methods runs any more; null if none does. */
  readonly idle: Promise<void> | null;
}

export class Disposals {
  private readonly running = new Set<Promise<void>>();
  /** Names of actors whose methods still run. */
  private readonly waiting = new Set<string>();

  constructor(
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /**
   * Calls an actor's `[Symbol.asyncDispose]` or `[Symbol.dispose]`, through `run`, once none of its methods runs; null if it has neither, or none that can
   * be read. Never rejects.
   */
  of({ value, actor, idle }: Ended, run: (dispose: Dispose) => unknown): Promise<void> | null {
    const dispose = this.disposeOf(value, actor);
    if (dispose === null) return null;
    const disposal = this.whenIdle(actor, idle)
      .then(() => this.dispose(actor, async () => void (await run(dispose))))
      .finally(() => this.running.delete(disposal));
    this.running.add(disposal);
    return disposal;
  }

  get isEmpty(): boolean {
    return this.running.size === 0;
  }

  /** Resolves when all that have begun are done, or have had their time. */
  async done(): Promise<void> {
    const all = Promise.all(this.running).then(() => undefined);
    if (await within(this.clock, DISPOSAL_MS, all)) return;
    for (const actor of this.waiting) {
      this.log.error({ actor }, 'an actor could not give back what it holds, because one of its methods still runs');
    }
  }

  private async whenIdle(actor: string, idle: Promise<void> | null): Promise<void> {
    if (idle === null) return;
    this.waiting.add(actor);
    await idle;
    this.waiting.delete(actor);
  }

  private async dispose(actor: string, act: () => Promise<void>): Promise<void> {
    try {
      if (await within(this.clock, DISPOSAL_MS, act())) return;
      this.log.error({ actor }, `an actor that ended did not give back what it holds within ${DISPOSAL_MS} ms`);
    } catch (thrown) {
      this.failed(actor, thrown);
    }
  }

  /** Its method with which it gives back what it holds, of its class or a base class. */
  private disposeOf(value: object, actor: string): Dispose | null {
    try {
      const { [Symbol.asyncDispose]: later, [Symbol.dispose]: now } = value as Partial<AsyncDisposable & Disposable>;
      const dispose: unknown = later ?? now;
      return typeof dispose === 'function' ? () => Reflect.apply(dispose, value, []) as unknown : null;
    } catch (thrown) {
      // It may be a getter.
      this.failed(actor, thrown);
      return null;
    }
  }

  /** The code of users may throw values that cannot be logged as they are. */
  private failed(actor: string, thrown: unknown): void {
    const { name, message, stack } = packThrown(thrown);
    this.log.error({ actor, err: { name, message, stack } }, 'an actor that ended failed to give back what it holds');
  }
}
