/** Rates of computing and transfer: assumptions, medians of measurements, and the weight of a measurement. */

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

/** Time after which half of a measurement's distance from the fastest worker is forgotten. */
const RATE_HALF_LIFE_MS = 30_000;
/** Factor within which speeds of computing are equal: one machine's speed varies as much in minutes. */
const RATE_NOISE = 1.5;

/** A worker with its measured speed. */
export interface RatedWorker {
  readonly id: string;
  /** Workers with the same kind of device are expected to be equally fast. */
  readonly device: string;
  readonly rates: { readonly computeMsPerToken: number | null };
  /** Time since the measurement of `computeMsPerToken`; null until there is one. */
  readonly computeAgeMs: number | null;
}

/** The median of the measured rates; null if there are none. */
export function middle(measured: readonly (number | null)[]): number | null {
  const known = measured.filter((rate) => rate !== null).sort((a, b) => a - b);
  return known[known.length >> 1] ?? null;
}

/** The median of the measured rates; `assumed` if there are none. */
export function typical(measured: readonly (number | null)[], assumed: number): number {
  return middle(measured) ?? assumed;
}

/**
 * The prefill speed to expect of each worker, in milliseconds per token.
 *
 * Only a worker that gets requests is measured. A worker that measured itself too slow would get none, and stay so; one that measured itself too
 * fast is soon corrected. So doubt counts in favour of a worker: without a measurement it is as fast as the fastest worker with that device; a
 * measurement loses its weight while other workers go on measuring, by half every `RATE_HALF_LIFE_MS`; and differences within `RATE_NOISE` are
 * none.
 */
export function computeRates(workers: readonly RatedWorker[]): Map<string, number> {
  const measured = workers.filter(({ rates }) => rates.computeMsPerToken !== null);
  const newestMs = measured.length === 0 ? 0 : Math.min(...measured.map(({ computeAgeMs }) => computeAgeMs ?? 0));
  const fastest = (of: readonly RatedWorker[]) => Math.min(...of.map(({ rates }) => rates.computeMsPerToken!));
  const byDevice = new Map<string, number>();
  for (const { device } of measured) {
    if (!byDevice.has(device)) byDevice.set(device, fastest(measured.filter((other) => other.device === device)));
  }
  const anywhere = measured.length === 0 ? ASSUMED_RATES.computeMsPerToken : fastest(measured);
  return new Map(
    workers.map(({ id, device, rates, computeAgeMs }) => {
      const best = byDevice.get(device) ?? anywhere;
      const slowdown = (rates.computeMsPerToken ?? best) / best;
      const believed = slowdown ** (0.5 ** (((computeAgeMs ?? 0) - newestMs) / RATE_HALF_LIFE_MS));
      return [id, believed <= RATE_NOISE ? best : best * believed];
    }),
  );
}
