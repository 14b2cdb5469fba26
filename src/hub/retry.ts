import { Unavailable } from '../errors.js';

/** When a request to the hub that failed is sent again. */

/** The hub, or the way to it, failed for now. */
export class HubUnavailable extends Unavailable {
  constructor(
    message: string,
    /** The pause that the hub asked for; null if it named none. */
    readonly retryAfterMs: number | null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** How often a request is sent again. */
export interface Patience {
  /** Attempts in a row that bring nothing. */
  readonly attempts: number;
  /** The sum of the pauses between them, in milliseconds. A longer one that the hub asks for is not waited. */
  readonly pausesMs: number;
}

/** For what is on no disk yet. The hub's limits hold for five minutes. */
export const PATIENT: Patience = { attempts: 5, pausesMs: 300_000 };
/** For a request whose answer decides whether a model in the cache is the present one. */
export const ONCE: Patience = { attempts: 1, pausesMs: 0 };
/** For the files of a newer commit than the one in the cache. */
export const BRIEF: Patience = { attempts: 5, pausesMs: 15_000 };

const FIRST_PAUSE_MS = 500;

/** The attempts of one request, or of one file. */
export class Retries {
  private failures = 0;
  private pausedMs = 0;

  constructor(private readonly patience: Patience) {}

  /** Notes that the last attempt brought something, though not all. */
  progressed(): void {
    this.failures = 0;
    this.pausedMs = 0;
  }

  /**
   * The pause before the next attempt, in milliseconds: as the hub asked, else twice as long each time.
   * @throws `error` if no attempt is left
   */
  pauseAfterMs(error: HubUnavailable): number {
    this.failures++;
    const pauseMs = error.retryAfterMs ?? FIRST_PAUSE_MS * 2 ** (this.failures - 1);
    this.pausedMs += pauseMs;
    if (this.failures >= this.patience.attempts || this.pausedMs > this.patience.pausesMs) throw error;
    return pauseMs;
  }
}

/** The value of the header `retry-after`, as seconds or as a date; null if it is neither. */
export function readRetryAfterMs(header: string | undefined, nowMs: number): number | null {
  if (header === undefined) return null;
  if (/^\d+$/.test(header.trim())) return Number(header) * 1000;
  const atMs = Date.parse(header);
  return Number.isNaN(atMs) ? null : Math.max(0, atMs - nowMs);
}
