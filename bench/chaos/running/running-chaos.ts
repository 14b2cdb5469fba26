import { setTimeout as sleep } from 'node:timers/promises';
import { WrongUsage } from '../../../src/config/wrong-usage.js';
import type { Random } from '../../../src/random.js';
import { FleetApi, type WorkerRow } from '../../fleet/fleet-api.js';
import { quantile } from '../../streams.js';
import { atLeast, atMost } from '../fault.js';
import { type ChaosRow, missed } from '../verdict.js';
import { serving } from '../views.js';
import { withDeadline } from './deadline.js';
import { GreedyLoad } from './greedy-load.js';
import type { Killer } from './killer.js';

const POLL_MS = 100;
const POLL_DEADLINE_MS = 5_000;
const SERVE_AGAIN_MS = 60_000;
const NOTES = 3;

/** How to kill workers of a running fleet. */
export interface RunningChaos {
  readonly url: string;
  readonly apiKey: string | null;
  /** The name of a worker, or `any`. */
  readonly kill: string;
  readonly everyMs: number;
  readonly forMs: number;
  readonly clients: number;
  readonly killer: Killer;
  readonly random: Random;
  readonly progress: (line: string) => void;
  /** Ends the run early; the report has the measurements until then. */
  readonly signal: AbortSignal;
}

const BOUNDS = {
  requests: atLeast(1),
  failed_requests: atMost(0),
  wrong_answers: atMost(0),
  kills: atLeast(1),
  serve_again_ms: atMost(SERVE_AGAIN_MS),
} as const;

/**
 * Kills workers of a running fleet under load, one after another. Answers are compared with the fleet's answers before the first kill.
 * @throws WrongUsage if the worker is unknown, Refused if it cannot be killed from here
 */
export async function runningChaos(options: RunningChaos): Promise<ChaosRow> {
  const { url, kill, everyMs, forMs, progress, signal } = options;
  const startMs = performance.now();
  const api = new FleetApi(url, options.apiKey);
  const { model, workers } = await withDeadline(POLL_DEADLINE_MS, signal, (limit) => api.fleet(limit));
  const named = await namedVictim(options, workers);
  const load = new GreedyLoad(api, model, signal);
  progress(`${workers.length} workers; asking for the answers to compare with`);
  await load.remember().catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
  load.start(options.clients);
  const recoveries: number[] = [];
  try {
    await killAgainAndAgain(api, options, named, recoveries);
  } finally {
    await load.stop();
  }
  const figures = {
    requests: load.answeredMs.length + load.failed,
    failed_requests: load.failed,
    wrong_answers: load.wrong,
    ...(load.answeredMs.length === 0
      ? {}
      : { p50_ms: quantile(load.answeredMs, 0.5), p99_ms: quantile(load.answeredMs, 0.99) }),
    kills: recoveries.length,
    serve_again_ms: Math.max(0, ...recoveries),
  };
  const reasons = missed(figures, BOUNDS);
  const why = [...reasons, ...load.notes.slice(0, NOTES)].join('; ');
  return {
    fault: 'running-fleet',
    row: `kill -9 ${kill === 'any' ? 'a random worker' : kill} of ${url} every ${everyMs / 1000} s for ${forMs / 1000} s, ${options.clients} clients`,
    passes_when: `failed requests 0; every answer as before; all serve again within ${SERVE_AGAIN_MS / 1000} s of each kill`,
    pass: reasons.length === 0,
    figures,
    seconds: Math.round((performance.now() - startMs) / 1000),
    ...(reasons.length === 0 ? {} : { why }),
  };
}

/** The worker to kill repeatedly; null for any. @throws WrongUsage if there is none */
async function namedVictim({ kill, killer }: RunningChaos, workers: readonly WorkerRow[]): Promise<WorkerRow | null> {
  const found = kill === 'any' ? workers[0] : await killer.find(kill, workers);
  if (found) return kill === 'any' ? null : found;
  const known = workers.map(({ id }) => id).join(', ');
  throw new WrongUsage(
    `--kill: must be a worker of the fleet, or any, got ${kill}; its workers are ${known || 'none'}`,
  );
}

async function killAgainAndAgain(
  api: FleetApi,
  { kill, everyMs, forMs, killer, random, progress, signal }: RunningChaos,
  named: WorkerRow | null,
  recoveries: number[],
): Promise<void> {
  const startMs = performance.now();
  const endMs = startMs + forMs;
  for (let atMs = startMs + everyMs; atMs <= endMs; atMs += everyMs) {
    // If the fleet took longer than that to serve again, the next kill comes at once.
    await pause(Math.max(0, atMs - performance.now()), signal);
    if (signal.aborted) return;
    const workers = await workersOf(api, signal);
    if (signal.aborted) return;
    if (workers === null) {
      progress('the coordinator does not answer; not killing');
      continue;
    }
    const before = serving(workers);
    const victims = named === null ? before : before.filter((worker) => killer.isSame(named, worker));
    const victim = victims[random.below(victims.length)];
    if (victim === undefined) {
      progress(`${kill} does not serve; not killing`);
      continue;
    }
    await killer.kill(victim);
    const tookMs = await untilServing(api, victim, before.length, signal);
    progress(`killed ${victim.id} (pid ${victim.pid}): all serve again after ${Math.round(tookMs)} ms`);
    recoveries.push(tookMs);
  }
  await pause(Math.max(0, endMs - performance.now()), signal);
}

/** Waits until as many workers serve as before, the victim in another incarnation or replaced by another worker. */
async function untilServing(api: FleetApi, victim: WorkerRow, count: number, signal: AbortSignal): Promise<number> {
  const startMs = performance.now();
  while (!signal.aborted && performance.now() - startMs <= SERVE_AGAIN_MS) {
    const workers = serving((await workersOf(api, signal)) ?? []);
    const stale = workers.some(({ id, incarnation }) => id === victim.id && incarnation === victim.incarnation);
    if (!stale && workers.length >= count) break;
    await pause(POLL_MS, signal);
  }
  return performance.now() - startMs;
}

/** The workers; null if the coordinator does not answer in time, for example while it restarts. */
function workersOf(api: FleetApi, signal: AbortSignal): Promise<WorkerRow[] | null> {
  return withDeadline(POLL_DEADLINE_MS, signal, (limit) => api.workers(limit)).catch(() => null);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return sleep(ms, undefined, { signal }).catch(() => undefined);
}
