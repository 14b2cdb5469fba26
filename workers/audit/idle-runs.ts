import type { Clock, Timer } from '../../src/clock.js';
import type { Engine, EnginePrompt } from '../../src/engine/engine.js';
import type { PrefixCache } from '../../src/engine/prefix-cache.js';
import { Cancelled } from '../../src/errors.js';

/** Runs of the engine without a client, in the time that requests leave. */

/** Time for which a run waits for an engine without requests. Afterwards the run competes with requests. */
const PATIENCE_MS = 10_000;
/** Pause after an interruption while it competes with requests. */
const PAUSE_MS = 250;
/** Time after which a run is given up. */
const GIVE_UP_MS = 120_000;

/** One run at a time. */
export class IdleRuns {
  private current: AbortController | null = null;
  private ended = new AbortController();

  constructor(
    private readonly engine: Pick<Engine, 'recompute' | 'idle' | 'stats'>,
    private readonly clock: Clock,
  ) {}

  /** A request has come: it does not wait for the run that is under way. */
  interrupt(): void {
    this.current?.abort(new Cancelled('a request has come'));
  }

  /** Ends all runs. */
  stop(): void {
    this.ended.abort(new Cancelled('this worker is stopping'));
    this.interrupt();
  }

  /**
   * Computes a prompt when the engine has time, from the beginning after each interruption: `cacheFor` makes the cache of each attempt. Resolves with
   * the cache of the attempt that came to its end; null if none did in time. Rejects if the run fails.
   */
  async run<Cache extends PrefixCache>(prompt: EnginePrompt, cacheFor: () => Cache): Promise<Cache | null> {
    const startMs = this.clock.now();
    while (!this.ended.signal.aborted && this.clock.now() - startMs < GIVE_UP_MS) {
      await this.turn(startMs + PATIENCE_MS);
      if (this.ended.signal.aborted) return null;
      const cache = cacheFor();
      if (await this.attempt(prompt, cache)) return cache;
      if (this.clock.now() - startMs >= PATIENCE_MS) await this.pause(PAUSE_MS);
    }
    return null;
  }

  private async attempt(prompt: EnginePrompt, cache: PrefixCache): Promise<boolean> {
    const attempt = new AbortController();
    this.current = attempt;
    try {
      await this.engine.recompute(prompt, cache, attempt.signal);
      return true;
    } catch (error) {
      if (attempt.signal.aborted) return false;
      throw error;
    } finally {
      this.current = null;
    }
  }

  /** Resolves when the engine has no requests, or has none that wait and `untilMs` is over. */
  private async turn(untilMs: number): Promise<void> {
    const patience = this.pause(Math.max(0, untilMs - this.clock.now()));
    await Promise.race([this.engine.idle(), patience]);
    while (this.engine.stats().waiting > 0 && !this.ended.signal.aborted) {
      await Promise.race([this.engine.idle(), this.pause(PAUSE_MS)]);
    }
  }

  private pause(ms: number): Promise<void> {
    const { signal } = this.ended;
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      let timer: Timer | null = null;
      const end = () => {
        timer?.cancel();
        signal.removeEventListener('abort', end);
        resolve();
      };
      timer = this.clock.after(ms, end);
      signal.addEventListener('abort', end, { once: true });
    });
  }
}
