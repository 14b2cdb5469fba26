import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { callHttp } from '../cli/call-http.js';
import { SeededRandom } from '../src/random.js';
import { benchModel } from './bench-model.js';
import { machineLine, quotients, type Report, type ReportRow, reportRatio, reportRow } from './report.js';
import { RunningFleet } from './running-fleet.js';
import { type ArrivalProcess, arrivalTimes } from './serve/arrivals.js';
import { type CompletionTarget, complete } from './serve/completion.js';
import { type Pace, type Served, serveLoad } from './serve/load.js';
import { PLACEMENTS, type Placement, Placer } from './serve/placements.js';
import { figuresOf, isAnswered, type LoadFigures, type Objective, PERCENTS } from './serve/summary.js';
import { vllmResult } from './serve/vllm-result.js';
import { type Scenario, workload } from './serve/workload.js';

/**
 * Benchmark `serve`: the latencies and rates of a service under load. Against a running server it measures that server; else it starts fleets of its
 * own, and compares placement by cost with placements that know no cache, with one copy of each block, and with no cache at all. In each round all
 * of them get the same requests at the same times, from an empty cache.
 */

export interface ServeOptions {
  readonly scenario: Scenario;
  readonly requests: number;
  readonly scalePercent: number;
  /** Requests per second of an open loop; null for a closed loop. */
  readonly rate: number | null;
  readonly arrivals: ArrivalProcess;
  /** Clients of a closed loop. */
  readonly clients: number;
  readonly objective: Objective;
  readonly seed: number;
  readonly rounds: number;
  /** A running server; null for fleets that the benchmark starts. */
  readonly url: URL | null;
  readonly key: string | null;
  /** Workers of each fleet that the benchmark starts. */
  readonly workers: number;
  /** File for the last load of placement by cost, in the form of vLLM's benchmark; null for none. */
  readonly result: string | null;
  readonly progress: (line: string) => void;
}

const WARM_UP_REQUESTS = 16;
const CLI = fileURLToPath(new URL('../cli/main.js', import.meta.url));

/** One way of serving, for comparison with others. */
interface Contender {
  readonly name: string;
  readonly target: CompletionTarget;
  readonly placement: Placement;
  /** Empty for a server that is not ours. */
  readonly workers: readonly string[];
  /** Empties its cache. */
  readonly reset: () => Promise<void>;
}

export async function serve(options: ServeOptions): Promise<Report> {
  const fleets: RunningFleet[] = [];
  try {
    const contenders = options.url === null ? await ownFleets(options, fleets) : [await running(options, options.url)];
    const figures = new Map<string, LoadFigures[]>(contenders.map(({ name }) => [name, []]));
    // The engine compiles the code of all processes meanwhile.
    for (const contender of contenders) await oneLoad(contender, { ...options, requests: WARM_UP_REQUESTS }, -1);
    for (let round = 0; round < options.rounds; round++) {
      for (const contender of round % 2 === 0 ? contenders : contenders.toReversed()) {
        const load = await oneLoad(contender, options, round);
        const of = figuresOf(load, options.objective);
        figures.get(contender.name)!.push(of);
        options.progress(`round ${round + 1}: ${contender.name}: ${shown(of)}`);
        if (contender === contenders[0]) save(load, contender, options);
      }
    }
    return report(figures, options);
  } finally {
    for (const fleet of fleets) await fleet.stop();
  }
}

async function oneLoad(contender: Contender, options: ServeOptions, round: number): Promise<Served[]> {
  const seed = (options.seed + round) >>> 0;
  const { scenario, requests, scalePercent } = options;
  const asked = workload({ scenario, requests, scalePercent, random: new SeededRandom(seed) });
  const placer = new Placer(contender.placement, contender.workers, new SeededRandom(seed));
  await contender.reset();
  return serveLoad(asked, paceOf(options, seed), async ({ prompt, maxTokens }) => {
    const worker = placer.begin(prompt);
    try {
      return await complete(contender.target, { prompt, maxTokens, worker });
    } finally {
      placer.ended(worker);
    }
  });
}

function paceOf({ rate, arrivals, requests, clients }: ServeOptions, seed: number): Pace {
  if (rate === null) return { kind: 'closed', clients };
  return { kind: 'open', timesMs: arrivalTimes(arrivals, requests, rate, new SeededRandom(seed)) };
}

async function ownFleets({ workers, progress }: ServeOptions, fleets: RunningFleet[]): Promise<Contender[]> {
  const model = await benchModel();
  const up = async (...args: string[]): Promise<Omit<Contender, 'name' | 'placement'>> => {
    progress(`starting ${workers} workers${args.length > 0 ? ` with ${args.join(' ')}` : ''}`);
    const fleet = await RunningFleet.up(CLI, ['--workers', String(workers), '--model', model, ...args]);
    fleets.push(fleet);
    return {
      target: { url: new URL(fleet.url), model: 'bench-90m', key: null },
      workers: fleet.ready.workers.map(({ id }) => id),
      reset: async () => {
        const response = await fleet.post('/reset_prefix_cache', {});
        if (!response.ok) throw new Error(`cannot empty the cache: ${response.status}: ${await response.text()}`);
      },
    };
  };
  const usual = await up();
  return [
    ...PLACEMENTS.map((placement) => ({ name: `placed by ${placement}`, placement, ...usual })),
    { name: 'one copy of each block', placement: 'cost', ...(await up('--replicas', '1')) },
    { name: 'no cache', placement: 'cost', ...(await up('--cache', 'off')) },
  ];
}

/** A server that runs already. Its cache is left as it is, and the requests of each round are new to it. */
async function running({ key }: ServeOptions, url: URL): Promise<Contender> {
  const headers = key === null ? {} : { authorization: `Bearer ${key}` };
  const response = await callHttp(new URL('/v1/models', url), { headers });
  const answer = (await response.json()) as { readonly data?: readonly { readonly id: string }[] };
  const model = answer.data?.[0]?.id;
  if (model === undefined) throw new Error(`${url} lists no model: ${response.status}: ${JSON.stringify(answer)}`);
  return { name: model, target: { url, model, key }, placement: 'cost', workers: [], reset: async () => {} };
}

function save(load: readonly Served[], { target }: Contender, options: ServeOptions): void {
  if (options.result === null) return;
  const { rate, clients, objective } = options;
  const names = {
    date: new Date(),
    model: target.model,
    requestRate: rate ?? Number.POSITIVE_INFINITY,
    clients: rate === null ? clients : null,
  };
  writeFileSync(options.result, `${JSON.stringify(vllmResult(load, objective, names))}\n`);
  const failed = load.find((served) => !isAnswered(served));
  if (failed) options.progress(`a request failed: ${(failed.result as Error).message}`);
}

function shown({ requestsPerSecond, ttftMs, itlMs, cachedShare, failed }: LoadFigures): string {
  const latency = `TTFT ${ttftMs[50].toFixed(0)} ms (p99 ${ttftMs[99].toFixed(0)}), ITL ${itlMs[50].toFixed(1)} ms`;
  return `${requestsPerSecond.toFixed(2)} requests/s, ${latency}, ${(100 * cachedShare).toFixed(0)} % cached, ${failed} failed`;
}

function report(figures: ReadonlyMap<string, readonly LoadFigures[]>, options: ServeOptions): Report {
  const [[first, ofFirst], ...others] = [...figures] as [
    [string, readonly LoadFigures[]],
    ...[string, LoadFigures[]][],
  ];
  return {
    name: `serve ${options.scenario}`,
    machine: machineLine(),
    rows: [...figures].flatMap(([name, all]) => rowsOf(name, all)),
    ratios: [
      ...others.flatMap(([name, all]) => [
        reportRatio(
          `requests/s: ${first} / ${name}`,
          ratioOf(ofFirst, all, (one) => one.requestsPerSecond),
        ),
        reportRatio(
          `TTFT, median: ${first} / ${name}`,
          ratioOf(ofFirst, all, (one) => one.ttftMs[50]),
        ),
      ]),
      reportRatio(
        'failed requests',
        [...figures.values()].flat().map(({ failed }) => failed),
        { kind: 'at most', value: 0 },
        'requests',
      ),
    ],
  };
}

function rowsOf(name: string, all: readonly LoadFigures[]): ReportRow[] {
  const row = (what: string, unit: string, of: (figures: LoadFigures) => number) =>
    reportRow(`${name}: ${what}`, unit, all.map(of));
  const latencies = (what: string, field: 'ttftMs' | 'tpotMs' | 'itlMs' | 'endToEndMs') =>
    PERCENTS.map((percent) => row(`${what}, p${percent}`, 'ms', (figures) => figures[field][percent]));
  return [
    row('requests', '1/s', ({ requestsPerSecond }) => requestsPerSecond),
    row('tokens of answers', '1/s', ({ tokensPerSecond }) => tokensPerSecond),
    row('goodput', 'requests/s', ({ goodput }) => goodput),
    row('prompt tokens from caches', '%', ({ cachedShare }) => 100 * cachedShare),
    row('prompt tokens from peers', '%', ({ remoteShare }) => 100 * remoteShare),
    ...latencies('time to first token', 'ttftMs'),
    ...latencies('time per token after it', 'tpotMs'),
    ...latencies('between pieces of text', 'itlMs'),
    ...latencies('whole answer', 'endToEndMs'),
  ];
}

function ratioOf(
  over: readonly LoadFigures[],
  under: readonly LoadFigures[],
  of: (figures: LoadFigures) => number,
): number[] {
  return quotients(over.map(of), under.map(of));
}
