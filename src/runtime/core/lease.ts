/** How long a node may act for its detached actors after it was heard by the store, and when others may take them over. Pure. */

/** How often a node renews its lease. */
export const LEASE_RENEWAL_MS = 400;
/** After the beginning of its last renewal a node's detached actors answer for this long. @internal exported for tests. */
export const LEASE_VALID_MS = 1_200;
/**
 * Others take over once the lease has not changed for this long, by their own clock. It exceeds the validity by more than clocks drift apart in
 * that time, so that the old actors have stopped answering before the new ones begin. @internal exported for tests.
 */
export const LEASE_EXPIRY_MS = 1_800;

/** One process's view of another process's lease. */
export class LeaseWatch {
  private revision: number | null = null;
  private sinceMs = 0;

  /** Takes note of the lease's revision. Returns the milliseconds until it may be taken over, 0 for now. */
  seen(revision: number, nowMs: number): number {
    if (this.revision !== revision) {
      this.revision = revision;
      this.sinceMs = nowMs;
    }
    return Math.max(0, LEASE_EXPIRY_MS - (nowMs - this.sinceMs));
  }
}

/** Whether a node may act on a lease whose last renewal began at `renewedMs`; null: it has no lease. */
export function isValid(renewedMs: number | null, nowMs: number): boolean {
  return renewedMs !== null && nowMs - renewedMs < LEASE_VALID_MS;
}
