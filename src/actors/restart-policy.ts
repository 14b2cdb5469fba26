/** Decides when a crashed actor or process is restarted, and when it is given up. Pure. */
export interface RestartPolicy {
  /** Restarts allowed within the window; the crash after them is final. */
  readonly restarts: number;
  readonly windowMs: number;
  /** Pause before the first restart; doubles with each earlier crash in the window. */
  readonly backoffMs: number;
  /** Longest pause. */
  readonly ceilingMs: number;
}

/** The policy for an actor or process whose owner sets none. */
export const DEFAULT_RESTART_POLICY: RestartPolicy = {
  restarts: 8,
  windowMs: 60_000,
  backoffMs: 200,
  ceilingMs: 10_000,
};

export type RestartDecision =
  | { readonly kind: 'restart'; readonly afterMs: number; readonly crashesMs: readonly number[] }
  | { readonly kind: 'giveUp'; readonly crashesMs: readonly number[] };

/**
 * Decides after a crash at `nowMs`. `crashesMs` are the times of earlier crashes, as returned by the previous decision.
 * Pauses double: `min(backoffMs x 2^(crashes in the window before this one), ceilingMs)`.
 */
export function afterCrash(policy: RestartPolicy, crashesMs: readonly number[], nowMs: number): RestartDecision {
  const recent = crashesMs.filter((atMs) => atMs > nowMs - policy.windowMs);
  const all = [...recent, nowMs];
  if (all.length > policy.restarts) return { kind: 'giveUp', crashesMs: all };
  const afterMs = Math.min(policy.backoffMs * 2 ** recent.length, policy.ceilingMs);
  return { kind: 'restart', afterMs, crashesMs: all };
}
