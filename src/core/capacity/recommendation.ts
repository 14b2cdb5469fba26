/** Recommends how many workers a running fleet should have. */

/** The load of all workers together, on average over some time. */
export interface MeanLoad {
  /** Requests that run or wait. */
  readonly requests: number;
  /** Time in which one worker would compute the waiting prompts. */
  readonly backlogMs: number;
}

export interface FleetLoad {
  readonly serving: number;
  /** Copies of each block. */
  readonly replicas: number;
  /** Requests that one worker runs at a time; 0 if no worker serves. */
  readonly sequencesEach: number;
  /** Of the last minute. */
  readonly now: MeanLoad;
  /** Of the busiest minute of the window; null until the fleet has been watched for the whole window. */
  readonly busiest: MeanLoad | null;
  /** Blocks that the fleet has, each counted once, and the memory for blocks of one worker. Null if workers also keep blocks on disk. */
  readonly memory: { readonly distinctBytes: number; readonly budgetBytesEach: number } | null;
}

export interface Recommendation {
  readonly serving: number;
  readonly wanted: number;
  /** One sentence for each limit, and one for the result. */
  readonly why: readonly string[];
}

/** Share of the places for running requests that are to be taken. */
const BUSY = 0.75;
/** Wait for the computation of the prompts ahead that a new prompt should have at most. */
const BACKLOG_MS = 1_000;
/** A fleet grows by at most this factor at a time, because a new worker's effect shows only once it serves. */
const GROWTH = 2;
/** The largest fleet that is recommended. */
const MOST_WORKERS = 512;

/**
 * More workers as soon as the last minute needs them; one worker fewer at a time, and only if the busiest minute of the window does without it and the
 * others have memory for all blocks.
 */
export function recommend(load: FleetLoad): Recommendation {
  const { serving } = load;
  const least = leastWorkers(load);
  const limits = [...workersFor(load.now, load), least];
  const now = Math.max(...limits.map(({ workers }) => workers));
  const why = limits.map(({ why }) => why);
  if (serving === 0) return { serving, wanted: least.workers, why: [...why, 'no worker serves'] };
  if (now > serving) {
    const wanted = Math.min(now, GROWTH * serving, MOST_WORKERS);
    const held =
      wanted < now ? `; ${wanted} first, because a fleet grows to at most ${GROWTH} times its size at once` : '';
    return { serving, wanted, why: [...why, `more are needed: ${now}${held}`] };
  }
  const { wanted, because } = fewer(load, least.workers, now);
  return { serving, wanted, why: [...why, because] };
}

interface Needed {
  readonly workers: number;
  readonly why: string;
}

/** The workers that a load needs, by each measure. */
function workersFor({ requests, backlogMs }: MeanLoad, { sequencesEach }: FleetLoad): Needed[] {
  const each = BUSY * sequencesEach;
  const byRequests = each === 0 ? 1 : Math.max(1, Math.ceil(requests / each));
  const byBacklog = Math.max(1, Math.ceil(backlogMs / BACKLOG_MS));
  return [
    {
      workers: byRequests,
      why: `requests: ${oneDigit(requests)} run or wait, which needs ${byRequests} at ${oneDigit(each)} for each worker`,
    },
    {
      workers: byBacklog,
      why: `prompts: one worker would compute the waiting ones in ${oneDigit(backlogMs / 1_000)} s, which needs ${byBacklog} for a wait of ${BACKLOG_MS / 1_000} s`,
    },
  ];
}

/** The workers that copies and blocks need, independent of the load. */
function leastWorkers({ replicas, memory }: FleetLoad): Needed {
  const byMemory =
    memory === null || memory.budgetBytesEach === 0 ? 1 : Math.ceil(memory.distinctBytes / memory.budgetBytesEach);
  if (byMemory <= replicas)
    return { workers: replicas, why: `copies: each block has ${replicas}, each on another worker` };
  return { workers: byMemory, why: `memory: with fewer than ${byMemory} workers the fleet would have to drop blocks` };
}

function fewer(load: FleetLoad, least: number, now: number): { readonly wanted: number; readonly because: string } {
  const { serving, busiest } = load;
  if (serving <= least) return { wanted: serving, because: 'none may leave' };
  if (busiest === null)
    return { wanted: serving, because: 'none may leave yet: the load is not known for long enough' };
  const most = Math.max(now, ...workersFor(busiest, load).map(({ workers }) => workers));
  return most < serving
    ? { wanted: serving - 1, because: `one may leave: the busiest minute needed ${most}` }
    : { wanted: serving, because: `none may leave: the busiest minute needed ${most}` };
}

function oneDigit(value: number): string {
  return String(Number(value.toFixed(1)));
}
