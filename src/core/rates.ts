/** Rates of computing and transfer: assumptions, and medians of measurements. */

/** Rates to assume while no worker has measured any. Modest, so that measurements soon replace them. */
export const ASSUMED_RATES = {
  computeMsPerToken: 0.5,
  decodeMsPerStep: 20,
  fetchBytesPerMs: 500_000,
  hostBytesPerMs: 2_000_000,
  diskBytesPerMs: 500_000,
} as const;

/** Latency of a request to a peer, without the transfer. */
export const FETCH_LATENCY_MS = 1;

/** The median of the measured rates; null if there are none. */
export function middle(measured: readonly (number | null)[]): number | null {
  const known = measured.filter((rate) => rate !== null).sort((a, b) => a - b);
  return known[known.length >> 1] ?? null;
}

/** The median of the measured rates; `assumed` if there are none. */
export function typical(measured: readonly (number | null)[], assumed: number): number {
  return middle(measured) ?? assumed;
}
