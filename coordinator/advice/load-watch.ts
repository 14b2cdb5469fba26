import type { Clock, Timer } from '../../src/clock.js';
import { type MeanLoad, type Recommendation, recommend } from '../../src/core/capacity/recommendation.js';
import type { Holdings } from '../../src/core/holdings.js';
import type { Member } from '../../src/core/member.js';

/** Watches the load that the workers announce, and recommends a number of workers. Every coordinator hears all workers: all recommend about the same. */

const SAMPLE_INTERVAL_MS = 5_000;
const SAMPLES_PER_MINUTE = 60_000 / SAMPLE_INTERVAL_MS;
/** Minutes over which a load must be low before a worker may leave. */
const WINDOW_MINUTES = 10;

export interface LoadWatchOptions {
  readonly clock: Clock;
  readonly members: () => readonly Member[];
  readonly holdings: Pick<Holdings, 'size'>;
  readonly replicas: number;
}

export class LoadWatch {
  /** Oldest first. */
  private readonly samples: MeanLoad[] = [];
  private timer: Timer | null = null;

  constructor(private readonly options: LoadWatchOptions) {}

  start(): void {
    this.timer = this.options.clock.every(SAMPLE_INTERVAL_MS, () => this.sample());
  }

  stop(): void {
    this.timer?.cancel();
  }

  recommendation(): Recommendation {
    const { replicas, members, holdings } = this.options;
    const workers = members();
    const serving = workers.filter(({ state }) => state === 'serving');
    const minutes = this.minutes();
    const onDisk = serving.some(({ disk }) => disk !== 'none');
    const blockBytes = Math.max(0, ...serving.map((worker) => worker.blockBytes));
    const memory = {
      distinctBytes: holdings.size * blockBytes,
      budgetBytesEach: meanOf(serving.map(({ budget }) => budget.device + budget.host)),
    };
    return recommend({
      serving: serving.length,
      replicas,
      sequencesEach: meanOf(serving.map(({ capacity }) => capacity.sequences)),
      now: minutes.at(-1) ?? loadOf(workers),
      busiest: minutes.length < WINDOW_MINUTES ? null : busiestOf(minutes),
      memory: onDisk ? null : memory,
    });
  }

  private sample(): void {
    this.samples.push(loadOf(this.options.members()));
    if (this.samples.length > WINDOW_MINUTES * SAMPLES_PER_MINUTE) this.samples.shift();
  }

  /** The load of each minute, counted back from now; the first one may be shorter. */
  private minutes(): MeanLoad[] {
    const minutes: MeanLoad[] = [];
    for (let end = this.samples.length; end > 0; end -= SAMPLES_PER_MINUTE) {
      const part = this.samples.slice(Math.max(0, end - SAMPLES_PER_MINUTE), end);
      minutes.unshift({
        requests: meanOf(part.map(({ requests }) => requests)),
        backlogMs: meanOf(part.map(({ backlogMs }) => backlogMs)),
      });
    }
    return minutes;
  }
}

/** A load that takes the larger of both measures from any minute. */
function busiestOf(minutes: readonly MeanLoad[]): MeanLoad {
  return {
    requests: Math.max(...minutes.map(({ requests }) => requests)),
    backlogMs: Math.max(...minutes.map(({ backlogMs }) => backlogMs)),
  };
}

/** The load at this moment. The work of a worker that drains counts too: it did not come from nowhere. */
function loadOf(workers: readonly Member[]): MeanLoad {
  const living = workers.filter(({ state }) => state !== 'dead');
  return {
    requests: sumOf(living.map(({ running, waiting }) => running + waiting)),
    backlogMs: sumOf(living.map(({ queuedTokens, rates }) => queuedTokens * (rates.computeMsPerToken ?? 0))),
  };
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

function meanOf(values: readonly number[]): number {
  return values.length === 0 ? 0 : sumOf(values) / values.length;
}
