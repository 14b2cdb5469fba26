import type { Workload } from './workload.js';

/** The workload of a fleet that runs, from the metrics of a coordinator. */

/** What the metrics of a coordinator say since its start. */
interface Measured {
  readonly seconds: number;
  /** Prompt tokens by the source of their K/V. */
  readonly tokens: { readonly local: number; readonly remote: number; readonly computed: number };
}

/** Reads metrics in Prometheus' text format. Null if they are not those of a coordinator. @param nowS the time of day */
export function measuredIn(text: string, nowS: number): Measured | null {
  const value = (series: string) => {
    const line = text.split('\n').find((each) => each.startsWith(`${series} `));
    return line === undefined ? null : Number(line.slice(series.length + 1));
  };
  const startS = value('process_start_time_seconds');
  const tokensFrom = (source: string) => value(`shoal_prompt_tokens_total{source="${source}"}`);
  const [local, remote, computed] = [tokensFrom('local'), tokensFrom('remote'), tokensFrom('computed')];
  if (startS === null || (local === null && remote === null && computed === null)) return null;
  const tokens = { local: local ?? 0, remote: remote ?? 0, computed: computed ?? 0 };
  return { seconds: Math.max(1, nowS - startS), tokens };
}

/**
 * The workload behind measured hits, which are those of the memory that the fleet has: its hits are the same for each size. A worker by itself has
 * at most its local hits, since some of those blocks came from others before; what sharing saves is therefore at least what this gives.
 */
export function measuredWorkload(
  { seconds, tokens: { local, remote, computed } }: Measured,
  blockTokens: number,
): Pick<Workload, 'blockTokens' | 'seconds' | 'promptTokens' | 'shared' | 'apart'> {
  const promptTokens = local + remote + computed;
  const share = (hits: number) => (promptTokens === 0 ? 0 : hits / promptTokens);
  return {
    ...{ blockTokens, seconds, promptTokens },
    shared: () => share(local + remote),
    apart: () => share(local),
  };
}
