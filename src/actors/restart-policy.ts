/** When what crashes is started again, and when not any more. Pure. */
export interface RestartPolicy {
  /** Restarts within the window, after which the next crash is the last. */
  readonly restarts: number;
  readonly windowMs: number;
  /** Before the first restart; doubled for each crash before it in the window. */
  readonly backoffMs: number;
  readonly ceilingMs: number;
}

/** For a crashed actor or process, unless its owner says otherwise. */
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
 * Decides after a crash at `nowMs`. `crashesMs` are the times of earlier crashes, as the decision before returned them.
 * Pauses double: `min(backoffMs x 2^(crashes in the window before this one), ceilingMs)`.
 */
export function afterCrash(policy: RestartPolicy, crashesMs: readonly number[], nowMs: number): RestartDecision {
  const recent = crashesMs.filter((atMs) => atMs > nowMs - policy.windowMs);
  const all = [...recent, nowMs];
  if (all.length > policy.restarts) return { kind: 'giveUp', crashesMs: all };
  const afterMs = Math.min(policy.backoffMs * 2 ** recent.length, policy.ceilingMs);
  return { kind: 'restart', afterMs, crashesMs: all };
}
