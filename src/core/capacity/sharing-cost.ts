import { GIB, type Machinery, type Prices, SECONDS_PER_MONTH } from './prices.js';
import type { Workload } from './workload.js';

/** The monthly saving from shared blocks, and its cost. */

/** The part of a workload that the cost depends on. */
type SharedWorkload = Pick<Workload, 'blockTokens' | 'seconds' | 'promptTokens' | 'shared' | 'apart'>;

/** Hits that the same memory gives, shared and not shared. */
interface SharingHits {
  readonly shared: number;
  readonly apart: number;
}

export interface SharingCost {
  readonly hits: SharingHits;
  readonly promptTokensPerMonth: number;
  /** Tokens that sharing saves from being computed, beyond the hits of unshared caches; 0 where the network is slower than computing them. */
  readonly savedTokensPerMonth: number;
  readonly savedGpuHours: number;
  /** In the currency of the prices, a month. */
  readonly saved: number;
  readonly network: number;
  readonly memory: number;
  readonly net: number;
  /** Gain in hits, as a share of the prompt tokens, from which on sharing pays for its traffic; null if no gain does. */
  readonly breakEvenGain: number | null;
  /** Bandwidth between workers below which it is faster to compute a token than to fetch it. */
  readonly breakEvenBytesPerS: number;
  readonly verdict: SharingVerdict;
}

/** Whether sharing pays; if not, each reason. */
type SharingVerdict = { readonly pays: true } | { readonly pays: false; readonly because: readonly string[] };

/** A gain below this share of the prompt tokens is within the error of the estimate. */
const NO_GAIN = 0.005;

/** Compares a sharing fleet with the same workers unshared, behind a load balancer that ignores prefixes. */
export function sharingCost(workload: SharedWorkload, machinery: Machinery, prices: Prices): SharingCost {
  const { workers, cacheBytes, kvBytesPerToken, prefillTokensPerS } = machinery;
  const blockTokens = workload.blockTokens;
  const blocksEach = Math.floor(cacheBytes / (kvBytesPerToken * blockTokens));
  const hits = { shared: workload.shared(workers * blocksEach), apart: workload.apart(workers, blocksEach) };
  const promptTokensPerMonth = (workload.promptTokens / workload.seconds) * SECONDS_PER_MONTH;
  const gain = Math.max(0, hits.shared - hits.apart);
  const breakEvenBytesPerS = kvBytesPerToken * prefillTokensPerS;
  // Workers compute what they would get later from others.
  const isSlow = machinery.networkBytesPerS < breakEvenBytesPerS;
  const savedTokensPerMonth = isSlow ? 0 : gain * promptTokensPerMonth;
  const savedGpuHours = savedTokensPerMonth / prefillTokensPerS / 3_600;
  const saved = savedGpuHours * prices.gpuHour;
  // Placement prefers workers that have the blocks, so only blocks that an unshared cache would have missed are moved.
  const network = ((savedTokensPerMonth * kvBytesPerToken) / GIB) * prices.networkGib;
  const memory = ((workers * cacheBytes) / GIB) * prices.gibMonth;
  const perToken = prices.gpuHour / 3_600 / prefillTokensPerS - (kvBytesPerToken / GIB) * prices.networkGib;
  const full = perToken * promptTokensPerMonth;
  const outcome = { hits, promptTokensPerMonth, savedTokensPerMonth, savedGpuHours, saved, network, memory };
  const net = saved - network - memory;
  return {
    ...outcome,
    net,
    breakEvenGain: full > 0 && memory <= full ? memory / full : null,
    breakEvenBytesPerS,
    verdict: verdictOf({ gain, net, breakEvenBytesPerS, hits, workload }, machinery),
  };
}

function verdictOf(
  {
    gain,
    net,
    breakEvenBytesPerS,
    hits,
    workload,
  }: Pick<SharingCost, 'net' | 'breakEvenBytesPerS' | 'hits'> & {
    readonly gain: number;
    readonly workload: SharedWorkload;
  },
  { workers, networkBytesPerS }: Machinery,
): SharingVerdict {
  const because: string[] = [];
  if (workers === 1) because.push('there is one worker, so there is nothing to share');
  if (workload.shared(Number.POSITIVE_INFINITY) < NO_GAIN) because.push('the prompts have no prefixes in common');
  else if (gain < NO_GAIN && workers > 1) {
    because.push(
      hits.shared < NO_GAIN
        ? 'the memory is too small: blocks are gone before they are asked for again'
        : 'each worker finds the same prefixes by itself, because few prompts have many repetitions',
    );
  }
  if (networkBytesPerS < breakEvenBytesPerS)
    because.push('the network is slower than computing the blocks that it carries');
  if (because.length === 0 && net <= 0)
    because.push('memory and traffic cost more than the computation that they save');
  return because.length === 0 ? { pays: true } : { pays: false, because };
}
