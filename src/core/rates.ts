/** What is assumed of a worker that has measured nothing yet, nor has any other. Modest, so that a measurement soon takes over. */
export const ASSUMED_RATES = {
  computeMsPerToken: 0.5,
  decodeMsPerStep: 20,
  fetchBytesPerMs: 500_000,
  hostBytesPerMs: 2_000_000,
  diskBytesPerMs: 500_000,
} as const;

/** A request to a peer takes so long, however many bytes it brings. */
export const FETCH_LATENCY_MS = 1;

/** The middle one of what was measured; null if nothing was. */
export function middle(measured: readonly (number | null)[]): number | null {
  const known = measured.filter((rate) => rate !== null).sort((a, b) => a - b);
  return known[known.length >> 1] ?? null;
}

/** The middle one of what was measured; `assumed` if nothing was. */
export function typical(measured: readonly (number | null)[], assumed: number): number {
  return middle(measured) ?? assumed;
}
