import { type MissRatioCurve, ReuseDistances } from './reuse.js';

/** The demands of a trace on a fleet: its load, and its hits by memory, with one shared memory or one for each worker. */

/** A request of a trace. Equal ids have equal prefixes. */
export interface CountedRequest {
  readonly atMs: number;
  readonly outputTokens: number;
  readonly promptTokens: number;
  /** One for each block of the prompt, of which the last one may be shorter. */
  readonly ids: readonly number[];
}

export interface Workload {
  /** Tokens of a block of the trace. */
  readonly blockTokens: number;
  readonly requests: number;
  /** From the first request to the last, at least 1 s. */
  readonly seconds: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Prompt tokens of the busiest minute, per second. */
  readonly peakPromptTokensPerS: number;
  readonly peakOutputTokensPerS: number;
  readonly distinctBlocks: number;
  /** As in `MissRatioCurve`. */
  readonly error: number;
  /** Share of the prompt tokens whose K/V is cached, if all workers pool this many blocks. */
  shared(blocks: number): number;
  /** The same if each of `workers` keeps this many blocks for itself, and requests go to them in turn. */
  apart(workers: number, blocksEach: number): number;
}

const MINUTE_MS = 60_000;

/** Measures a trace in one pass for each number of workers that is asked for. @param rate of the sample of blocks, as in `ReuseDistances` */
export function workloadOf(trace: readonly CountedRequest[], blockTokens: number, rate: number): Workload {
  const curves = new Map<number, readonly MissRatioCurve[]>();
  const curvesOf = (workers: number) => {
    const known = curves.get(workers) ?? curvesFor(trace, blockTokens, workers, rate);
    curves.set(workers, known);
    return known;
  };
  const first = trace[0]?.atMs ?? 0;
  const last = trace.reduce((most, { atMs }) => Math.max(most, atMs), first);
  const [whole] = curvesOf(1);
  return {
    blockTokens,
    requests: trace.length,
    seconds: Math.max(1, (last - first) / 1_000),
    promptTokens: trace.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
    outputTokens: trace.reduce((sum, { outputTokens }) => sum + outputTokens, 0),
    peakPromptTokensPerS: peakPerS(trace, first, ({ promptTokens }) => promptTokens),
    peakOutputTokensPerS: peakPerS(trace, first, ({ outputTokens }) => outputTokens),
    distinctBlocks: whole!.distinct,
    error: whole!.error,
    shared: (size) => whole!.hitRatio(size),
    apart: (workers, size) => {
      const own = curvesOf(workers);
      const weight = own.reduce((sum, curve) => sum + curve.weight, 0);
      const hits = own.reduce((sum, curve) => sum + curve.weight * curve.hitRatio(size), 0);
      return weight === 0 ? 0 : hits / weight;
    },
  };
}

/** The curve of each worker if requests go to workers in turn. */
function curvesFor(
  trace: readonly CountedRequest[],
  blockTokens: number,
  workers: number,
  rate: number,
): MissRatioCurve[] {
  const references = trace.reduce((sum, { ids }) => sum + ids.length, 0);
  const gathered = Array.from({ length: workers }, () => new ReuseDistances(rate, references));
  for (const [i, { ids, promptTokens }] of trace.entries()) {
    const own = gathered[i % workers]!;
    const lastTokens = promptTokens - blockTokens * (ids.length - 1);
    for (let at = ids.length - 1; at >= 0; at--) own.add(ids[at]!, at === ids.length - 1 ? lastTokens : blockTokens);
  }
  return gathered.map((each) => each.curve());
}

/** The amount of the busiest minute, per second. */
function peakPerS(
  trace: readonly CountedRequest[],
  firstMs: number,
  amount: (request: CountedRequest) => number,
): number {
  const minutes = new Map<number, number>();
  for (const request of trace) {
    const minute = Math.floor((request.atMs - firstMs) / MINUTE_MS);
    minutes.set(minute, (minutes.get(minute) ?? 0) + amount(request));
  }
  return Math.max(0, ...minutes.values()) / (MINUTE_MS / 1_000);
}
