import { quantile } from '../streams.js';
import type { ServedCompletion } from './completion.js';
import type { Served } from './load.js';

/** The figures of one load. */

/** The latency objective of a client. */
export interface Objective {
  readonly ttftMs: number;
  /** Mean time between tokens after the first. */
  readonly tpotMs: number;
}

export interface LoadFigures {
  readonly seconds: number;
  readonly completed: number;
  readonly failed: number;
  readonly requestsPerSecond: number;
  readonly tokensPerSecond: number;
  /** Requests per second that met the objective. */
  readonly goodput: number;
  /** Share of the prompts' tokens from a cache, and from another worker's cache; 0 to 1. */
  readonly cachedShare: number;
  readonly remoteShare: number;
  readonly ttftMs: Percentiles;
  readonly tpotMs: Percentiles;
  readonly itlMs: Percentiles;
  readonly endToEndMs: Percentiles;
}

export const PERCENTS = [50, 90, 95, 99] as const;
type Percentiles = Readonly<Record<(typeof PERCENTS)[number], number>>;

/** The latencies of one answer in milliseconds. */
export interface Latencies {
  readonly ttftMs: number;
  /** Null for an answer of one token. */
  readonly tpotMs: number | null;
  readonly itlMs: readonly number[];
  readonly endToEndMs: number;
}

export interface AnsweredRequest extends Served {
  readonly result: ServedCompletion;
}

export function isAnswered(served: Served): served is AnsweredRequest {
  return !(served.result instanceof Error);
}

/** Throws if no request was answered: there is nothing to measure. */
export function figuresOf(load: readonly Served[], objective: Objective): LoadFigures {
  const answered = load.filter(isAnswered);
  if (answered.length === 0)
    throw new Error(`no request was answered: ${(load[0]?.result as Error | undefined)?.message}`);
  const each = answered.map(latenciesOf);
  const total = (of: (completion: ServedCompletion) => number) =>
    answered.reduce((sum, { result }) => sum + of(result), 0);
  const fromMs = Math.min(...load.map(({ dueMs }) => dueMs));
  const seconds = (Math.max(...answered.map(({ result }) => result.endMs)) - fromMs) / 1_000;
  const good = each.filter(({ ttftMs, tpotMs }) => ttftMs <= objective.ttftMs && (tpotMs ?? 0) <= objective.tpotMs);
  const promptTokens = total((completion) => completion.promptTokens);
  return {
    seconds,
    completed: answered.length,
    failed: load.length - answered.length,
    requestsPerSecond: answered.length / seconds,
    tokensPerSecond: total(({ answerTokens }) => answerTokens) / seconds,
    goodput: good.length / seconds,
    cachedShare: total(({ cachedTokens }) => cachedTokens) / promptTokens,
    remoteShare: total(({ remoteTokens }) => remoteTokens ?? 0) / promptTokens,
    ttftMs: percentiles(each.map(({ ttftMs }) => ttftMs)),
    tpotMs: percentiles(each.flatMap(({ tpotMs }) => tpotMs ?? [])),
    itlMs: percentiles(each.flatMap(({ itlMs }) => itlMs)),
    endToEndMs: percentiles(each.map(({ endToEndMs }) => endToEndMs)),
  };
}

export function latenciesOf({ dueMs, result }: AnsweredRequest): Latencies {
  const { chunksMs, answerTokens, endMs } = result;
  const [firstMs, lastMs] = [chunksMs[0]!, chunksMs.at(-1)!];
  return {
    ttftMs: firstMs - dueMs,
    tpotMs: answerTokens > 1 ? (lastMs - firstMs) / (answerTokens - 1) : null,
    itlMs: chunksMs.slice(1).map((ms, i) => ms - chunksMs[i]!),
    endToEndMs: endMs - dueMs,
  };
}

/** All 0 without samples. */
function percentiles(samples: readonly number[]): Percentiles {
  const of = (percent: number) => (samples.length === 0 ? 0 : quantile(samples, percent / 100));
  return Object.fromEntries(PERCENTS.map((percent) => [percent, of(percent)])) as unknown as Percentiles;
}
