import { readdirSync, readFileSync } from 'node:fs';
import type { UpFleet } from '../../bench/fleet/up-fleet.js';
import { callHttp } from '../../cli/call-http.js';
import { Load } from './load.js';

/**
 * Measures what open pages of the console cost the fleet: the processor time of its processes for an answered request, with pages and without. What a request
 * costs more is what the fleet answers less when its processors are the limit. Unlike requests a second, this hardly depends on what else the machine does.
 */

const CONCURRENCY = 8;
const TOKENS = 8;
/** As the page with the plots asks. */
const HISTORY_MS = 2_000;
/** Until the pages have what they get when they open, which is no cost of an open page. */
const OPENING_MS = 500;
/** Share of pairs' medians that the interval covers. */
const CONFIDENCE = 0.95;

export interface CostOptions {
  readonly pages: number;
  /** Pairs of a round with pages and one without, in alternating order. */
  readonly rounds: number;
  /** Requests that are answered in a round. */
  readonly requests: number;
}

export interface PageCost extends CostOptions {
  /** Medians over the rounds, of all coordinators and workers. */
  readonly cpu_ms_per_request: { readonly without: number; readonly with_pages: number };
  readonly requests_per_second: { readonly without: number; readonly with_pages: number };
  /** How much more processor time a request takes with pages, in percent of what it takes without. */
  readonly cost_percent: {
    /** The coordinators do nearly all of the work for pages. */
    readonly coordinators: Median;
    /** Their time for computing differs by more from round to round than what pages cost them: two small questions a second. */
    readonly workers: Median;
  };
}

/** The median over the pairs, and its 95 % interval. */
interface Median {
  readonly median: number;
  readonly from: number;
  readonly to: number;
}

interface Round {
  readonly rate: number;
  readonly coordinatorsMs: number;
  readonly workersMs: number;
}

function allMs({ coordinatorsMs, workersMs }: Round): number {
  return coordinatorsMs + workersMs;
}

/** Pages are read by plain clients, since browsers on the same machine would cost far more than what the fleet does for them. */
export async function costOfPages(fleet: UpFleet, options: CostOptions): Promise<PageCost> {
  const { pages, rounds, requests } = options;
  const load = new Load(fleet, CONCURRENCY, TOKENS);
  const coordinators = fleet.ready.coordinators.map(({ pid }) => pid);
  const workers = fleet.ready.workers.map(({ pid }) => pid);
  const round = async (): Promise<Round> => {
    await pause(OPENING_MS);
    const begin = load.answered;
    await load.reaches(begin + 1);
    const [startedMs, own, others] = [performance.now(), cpuMs(coordinators), cpuMs(workers)];
    const first = load.answered;
    await load.reaches(first + requests);
    const count = load.answered - first;
    const coordinatorsMs = (cpuMs(coordinators) - own) / count;
    const workersMs = (cpuMs(workers) - others) / count;
    return { rate: (1_000 * count) / (performance.now() - startedMs), coordinatorsMs, workersMs };
  };
  const withPages = async () => {
    const open = Array.from({ length: pages }, () => new AbortController());
    const readers = open.map(({ signal }) => readPage(fleet.url, signal));
    const measured = await round();
    for (const page of open) page.abort();
    await Promise.all(readers);
    return measured;
  };
  // The first round fills the caches, and counts for nothing.
  await round();
  const pairs: { readonly without: Round; readonly paged: Round }[] = [];
  for (let i = 0; i < rounds; i++) {
    const early = i % 2 === 0 ? await withPages() : null;
    const without = await round();
    pairs.push({ without, paged: early ?? (await withPages()) });
  }
  await load.stop();
  const of = (value: (pair: (typeof pairs)[number]) => number) => medianWithin(pairs.map(value));
  const costOf = (part: 'coordinatorsMs' | 'workersMs') =>
    of(({ without, paged }) => (100 * (paged[part] - without[part])) / allMs(without));
  return {
    ...options,
    cpu_ms_per_request: {
      without: of(({ without }) => allMs(without)).median,
      with_pages: of(({ paged }) => allMs(paged)).median,
    },
    requests_per_second: {
      without: of(({ without }) => without.rate).median,
      with_pages: of(({ paged }) => paged.rate).median,
    },
    cost_percent: { coordinators: costOf('coordinatorsMs'), workers: costOf('workersMs') },
  };
}

/** Reads what a page reads, until it is closed. */
async function readPage(url: string, signal: AbortSignal): Promise<void> {
  const feed = callHttp(new URL('/v1/fleet/events', url), { signal }).then(async ({ body }) => {
    for await (const _ of body!) if (signal.aborted) return;
  });
  const history = async () => {
    while (!signal.aborted) {
      const since = Date.now() - HISTORY_MS;
      await (await callHttp(new URL(`/v1/fleet/history?since=${since}`, url), { signal })).text();
      await pause(HISTORY_MS);
    }
  };
  await Promise.allSettled([feed, history()]);
}

/** Processor time of processes of Linux: the sum over their threads, in nanoseconds there. */
function cpuMs(pids: readonly number[]): number {
  const ofThread = (folder: string) => Number(readFileSync(`${folder}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
  return pids
    .flatMap((pid) => readdirSync(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}`))
    .reduce((sum, folder) => sum + ofThread(folder), 0);
}

/** The median, and the interval of order statistics that covers the true one with the confidence, by the binomial distribution. */
function medianWithin(values: readonly number[]): Median {
  const sorted = values.toSorted((a, b) => a - b);
  const count = sorted.length;
  let [below, term] = [0, 0.5 ** count];
  let rank = 0;
  // Ranks are left out at both ends as long as the two tails stay within what the confidence leaves.
  while (rank < count >> 1 && below + term <= (1 - CONFIDENCE) / 2) {
    below += term;
    term *= (count - rank) / (rank + 1);
    rank++;
  }
  const [from, to] = [sorted[Math.max(0, rank - 1)]!, sorted[Math.min(count - 1, count - rank)]!];
  const middle = (sorted[(count - 1) >> 1]! + sorted[count >> 1]!) / 2;
  return { median: rounded(middle), from: rounded(from), to: rounded(to) };
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
