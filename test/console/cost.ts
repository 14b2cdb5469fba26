import { readFileSync } from 'node:fs';
import type { UpFleet } from '../../bench/fleet/up-fleet.js';
import { callHttp } from '../../cli/call-http.js';
import { Load } from './load.js';

/** Measures what open pages of the console cost the fleet: its throughput, and the processor time of its coordinator. */

const CONCURRENCY = 8;
const TOKENS = 8;
/** As the page with the plots asks. */
const HISTORY_MS = 2_000;
const TICKS_PER_SECOND = 100;

export interface CostOptions {
  readonly pages: number;
  /** Rounds with pages, each after one without. */
  readonly rounds: number;
  /** Of one round. */
  readonly seconds: number;
}

export interface PageCost {
  readonly pages: number;
  /** Medians over the rounds. */
  readonly requests_per_second: { readonly without: number; readonly with_pages: number };
  readonly coordinator_ms_per_request: { readonly without: number; readonly with_pages: number };
  /** Positive if pages cost throughput. */
  readonly throughput_lost_percent: number;
}

interface Round {
  readonly rate: number;
  readonly cpuMs: number;
}

/** Pages are read by plain clients, since browsers on the same machine would cost far more than what the fleet does for them. */
export async function costOfPages(fleet: UpFleet, { pages, rounds, seconds }: CostOptions): Promise<PageCost> {
  const load = new Load(fleet, CONCURRENCY, TOKENS);
  const pid = fleet.ready.coordinators[0]!.pid;
  const round = async (): Promise<Round> => {
    const [answered, cpuMs, startedMs] = [load.answered, cpuTimeMs(pid), performance.now()];
    await pause(1_000 * seconds);
    const count = load.answered - answered;
    return {
      rate: (1_000 * count) / (performance.now() - startedMs),
      cpuMs: (cpuTimeMs(pid) - cpuMs) / Math.max(1, count),
    };
  };
  const [without, withPages]: [Round[], Round[]] = [[], []];
  // The first round fills the caches, and counts for nothing.
  await round();
  for (let i = 0; i < rounds; i++) {
    without.push(await round());
    const closed = new AbortController();
    const readers = Array.from({ length: pages }, () => readPage(fleet.url, closed.signal));
    withPages.push(await round());
    closed.abort();
    await Promise.all(readers);
  }
  await load.stop();
  const rate = { without: middleOf(without, 'rate'), with_pages: middleOf(withPages, 'rate') };
  return {
    pages,
    requests_per_second: rate,
    coordinator_ms_per_request: { without: middleOf(without, 'cpuMs'), with_pages: middleOf(withPages, 'cpuMs') },
    throughput_lost_percent: rounded(100 * (1 - rate.with_pages / rate.without)),
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

/** User and system time of a process of Linux. */
function cpuTimeMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS_PER_SECOND;
}

function middleOf(rounds: readonly Round[], key: keyof Round): number {
  const sorted = rounds.map((round) => round[key]).toSorted((a, b) => a - b);
  return rounded(sorted[sorted.length >> 1] ?? 0);
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
