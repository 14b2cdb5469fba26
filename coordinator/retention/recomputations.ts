import type { Clock } from '../../src/clock.js';
import { Cancelled, InvalidRequest, PoisonousPrompt, type ShoalError } from '../../src/errors.js';
import { QUARANTINE_MS } from '../poison/quarantine.js';
import type { Fulfilment } from './assignment.js';
import type { StoredPrompt } from './retention-store.js';

/** Computes retained prompts again, a few at a time: on homes that lack blocks of them, or on other workers that copy the blocks to the homes. */

/** Prompts that are computed at the same time. Few, because clients' requests come first. */
const RECOMPUTATIONS = 2;
/** Time in which other workers have to copy a block that some worker has, before it is computed. @internal exported for tests. */
export const COPY_GRACE_MS = 3_000;
/** Pause after a computation, in which its blocks are copied to their homes. It doubles with each one that did not settle the retention. */
const RECOMPUTE_PAUSE_MS = 2_000;
/** Longest pause. */
const RECOMPUTE_PAUSE_MAX_MS = 60_000;
/** Pause after the prompt was found in quarantine, where it may be by an error of judgement. It doubles each time: the prompt may crash workers again. */
const QUARANTINE_PAUSE_MAX_MS = 24 * 3_600_000;

/** Computes a prompt on a worker, which then has the blocks that fit in its memory. Resolves when it is computed. */
export type Recompute = (id: string, worker: string, prompt: StoredPrompt, signal: AbortSignal) => Promise<void>;

export interface RecomputationsOptions {
  readonly clock: Clock;
  readonly recompute: Recompute;
  /** Whether a worker is serving and has a context that is long enough for a prompt of this many tokens. */
  readonly takes: (worker: string, tokens: number) => boolean;
  /** The prompt cannot be computed, now or later. */
  readonly onFailed: (id: string, reason: string) => void;
  /** A computation has ended; `error` says why it failed for now. */
  readonly onTried: (id: string, error: ShoalError | null) => void;
}

interface Attempted {
  /** Since when blocks are missing, without a break. */
  readonly sinceMs: number;
  tries: number;
  /** Times that the prompt was in quarantine. */
  quarantines: number;
  notBeforeMs: number;
  running: AbortController | null;
}

export class Recomputations {
  private readonly attempted = new Map<string, Attempted>();

  constructor(private readonly options: RecomputationsOptions) {}

  /**
   * The prompts to compute now, the ones with the fewest copies first, each with a worker: the home that lacks most, if it takes the prompt. If no such
   * home does, the other workers take turns: one that gets blocks in this way copies them to their homes.
   * @param takersOf the workers that take the prompt of a retention
   */
  next(
    progress: readonly Fulfilment[],
    takersOf: (id: string) => readonly string[],
  ): { readonly id: string; readonly worker: string }[] {
    const nowMs = this.options.clock.now();
    for (const { id, lacking } of progress) {
      const known = this.attempted.get(id);
      if (lacking.size === 0 && !known?.running) this.attempted.delete(id);
      else if (known === undefined)
        this.attempted.set(id, { sinceMs: nowMs, tries: 0, quarantines: 0, notBeforeMs: nowMs, running: null });
    }
    const running = [...this.attempted.values()].filter((each) => each.running !== null).length;
    return [...progress]
      .sort((a, b) => a.copies - b.copies)
      .flatMap(({ id, lacking, lost }) => {
        const known = this.attempted.get(id);
        if (lacking.size === 0 || !known || known.running) return [];
        const takers = takersOf(id);
        const [home] = [...lacking].filter(([worker]) => takers.includes(worker)).sort((a, b) => b[1] - a[1]);
        const worker = home?.[0] ?? takers[known.tries % takers.length];
        if (worker === undefined) return [];
        const dueMs = Math.max(known.notBeforeMs, lost ? nowMs : known.sinceMs + COPY_GRACE_MS);
        return dueMs <= nowMs ? [{ id, worker }] : [];
      })
      .slice(0, Math.max(0, RECOMPUTATIONS - running));
  }

  begin(id: string, worker: string, prompt: StoredPrompt): void {
    const known = this.attempted.get(id);
    if (!known || known.running) return;
    known.running = new AbortController();
    void this.run(known, id, worker, prompt, known.running.signal);
  }

  /** Cancels the computations of all other retentions. */
  keepOnly(ids: ReadonlySet<string>): void {
    for (const [id, { running }] of this.attempted) {
      if (ids.has(id)) continue;
      this.attempted.delete(id);
      running?.abort(new Cancelled('the pin has ended'));
    }
  }

  stop(): void {
    this.keepOnly(new Set());
  }

  private async run(
    known: Attempted,
    id: string,
    worker: string,
    prompt: StoredPrompt,
    signal: AbortSignal,
  ): Promise<void> {
    const error = await this.options.recompute(id, worker, prompt, signal).then(
      () => null,
      (failure: ShoalError) => failure,
    );
    known.running = null;
    if (signal.aborted) return;
    const pauseMs = Math.min(RECOMPUTE_PAUSE_MAX_MS, RECOMPUTE_PAUSE_MS * 2 ** known.tries++);
    const quarantined = error instanceof PoisonousPrompt;
    const quarantineMs = quarantined ? Math.min(QUARANTINE_PAUSE_MAX_MS, QUARANTINE_MS * 2 ** known.quarantines++) : 0;
    known.notBeforeMs = this.options.clock.now() + Math.max(pauseMs, quarantineMs);
    // A worker that is gone or came back with a shorter context says nothing about the prompt.
    const permanent =
      error instanceof InvalidRequest && !quarantined && this.options.takes(worker, prompt.tokens.length);
    if (permanent) this.options.onFailed(id, error.message);
    else this.options.onTried(id, error);
  }
}
