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

/** Attempts in a row that bring nothing. */
export const ATTEMPTS = 5;
const FIRST_PAUSE_MS = 500;
/** The hub's limits hold for five minutes. */
const LONGEST_PAUSE_MS = 300_000;

/** The pause after so many failures in a row: as the hub asked, else twice as long each time. */
export function retryPauseMs(failures: number, askedMs: number | null): number {
  return Math.min(askedMs ?? FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS);
}

/** The value of the header `retry-after`, as seconds or as a date; null if it is neither. */
export function readRetryAfterMs(header: string | undefined, nowMs: number): number | null {
  if (header === undefined) return null;
  if (/^\d+$/.test(header.trim())) return Number(header) * 1000;
  const atMs = Date.parse(header);
  return Number.isNaN(atMs) ? null : Math.max(0, atMs - nowMs);
}
