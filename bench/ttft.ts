import { fileURLToPath } from 'node:url';
import { callHttp } from '../cli/call-http.js';
import { BareLoop } from './bare-loop.js';
import { benchGraph, benchModel, benchThreads, randomTokens } from './bench-model.js';
import { type Streamed, streamed } from './first-token.js';
import { Genai } from './genai.js';
import { type BenchOptions, machineLine, quotients, type Report, reportRatio, reportRow } from './report.js';
import { RunningFleet } from './running-fleet.js';

/** Benchmark `ttft`: time to the first token, cold, with a local hit and with a remote hit. */

const CLI = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const SHARED_TOKENS = 1_024;
const OWN_TOKENS = 32;
const ROUNDS = 9;
/** The number of prefixes that visit all workers before the first measurement. */
const WARM_UPS = 9;
/** The baseline computes prompts in the same chunks as a worker. */
const CHUNK_TOKENS = 256;

/**
 * Measures the time to the first token, as a client sees it, of a prompt of 1,024 shared and 32 own tokens: cold, with the shared tokens in
 * the worker's memory, and with them in a peer's memory. Each round also measures the bare graph prefilling 32 tokens after 1,024, over K/V
 * buffers as large as a worker's. With one copy of each block (`--replicas 1`) there is always a worker without the prefix.
 */
export async function run({ rounds, progress }: BenchOptions): Promise<Report> {
  const model = await benchModel();
  const graph = await benchGraph(model, benchThreads());
  const floor = new Floor(new BareLoop(graph, graph.contextTokens));
  progress('starting three workers');
  const fleet = await RunningFleet.up(CLI, ['--workers', '3', '--replicas', '1', '--model', model]);
  const genai = await Genai.start(model, benchThreads());
  const each = (): number[] => [];
  const samples = { cold: each(), local: each(), remote: each(), floor: each(), genaiHit: each(), genaiCold: each() };
  try {
    await floor.warm();
    progress('warming up');
    await warmUp(fleet);
    for (let round = -1; round < (rounds ?? ROUNDS); round++) {
      const one = await measure(fleet, floor, round, (line) => progress(`round ${round + 1}: ${line}`));
      // The first round warms up.
      if (round < 0) continue;
      for (const name of ['cold', 'local', 'remote', 'floor'] as const) samples[name].push(one[name]);
      if (typeof genai === 'string') continue;
      samples.genaiHit.push(await genai.hit(SHARED_TOKENS, OWN_TOKENS));
      samples.genaiCold.push(await genai.cold(SHARED_TOKENS + OWN_TOKENS));
    }
  } finally {
    if (typeof genai !== 'string') await genai.stop();
    await fleet.stop();
    floor.release();
    graph.release();
  }
  const beside = samples.genaiHit.length > 0;
  return {
    name: 'ttft',
    machine: machineLine(),
    rows: [
      reportRow('cold', 'ms', samples.cold),
      reportRow('local hit', 'ms', samples.local),
      reportRow('remote hit', 'ms', samples.remote),
      reportRow('floor: bare graph, 32 tokens after 1,024', 'ms', samples.floor),
      ...(beside ? [reportRow('onnxruntime-genai: prefix in its buffer', 'ms', samples.genaiHit)] : []),
      ...(beside ? [reportRow('onnxruntime-genai: cold', 'ms', samples.genaiCold)] : []),
    ],
    ratios: [
      ...(beside
        ? [
            reportRatio('local hit / genai', quotients(samples.local, samples.genaiHit), {
              kind: 'at most',
              value: 1.1,
            }),
            reportRatio('cold / genai', quotients(samples.cold, samples.genaiCold)),
          ]
        : []),
      reportRatio('local hit / floor', quotients(samples.local, samples.floor), { kind: 'at most', value: 1.25 }),
      reportRatio('remote hit / local hit', quotients(samples.remote, samples.local), { kind: 'at most', value: 1.05 }),
      reportRatio('cold / remote hit', quotients(samples.cold, samples.remote), { kind: 'at least', value: 10 }),
    ],
    notes: typeof genai === 'string' ? [genai] : [],
  };
}

/** Warms the fleet up as if it had served for a while: compiled code, open links, memory backed by physical pages. */
async function warmUp(fleet: RunningFleet): Promise<void> {
  const ids = fleet.ready.workers.map(({ id }) => id);
  for (let i = 0; i < WARM_UPS; i++) {
    const shared = randomTokens(SHARED_TOKENS);
    const origin = ids[i % ids.length]!;
    // Cold at the origin, then fetched by the others, then local everywhere.
    for (const id of [origin, ...ids, ...ids]) await streamed(fleet, [...shared, ...randomTokens(OWN_TOKENS)], 1, id);
  }
}

async function measure(
  fleet: RunningFleet,
  floor: Floor,
  round: number,
  progress: (line: string) => void,
): Promise<Record<'cold' | 'local' | 'remote' | 'floor', number>> {
  const shared = randomTokens(SHARED_TOKENS);
  const ask = (worker: string) => streamed(fleet, [...shared, ...randomTokens(OWN_TOKENS)], 1, worker);
  // Computed at the first home, so that after copies to the homes of both segments one worker still has none of its blocks.
  const where = await explain(fleet, shared);
  const cold = await ask(where.firstHome);
  expectCached(cold, 'computed', SHARED_TOKENS + OWN_TOKENS);
  await quiet(fleet);
  const { holders } = await explain(fleet, shared);
  const fetcher = fleet.ready.workers.map(({ id }) => id).find((id) => !holders.has(id));
  if (!fetcher) throw new Error('cannot measure a remote hit: every worker has the prefix');
  // Back to back and by turns, with the floor before and after, because a machine is slower after an idle moment.
  const floorBeforeMs = await floor.measure();
  // The first request pays for waking the processes.
  const localFirst = round % 2 === 0;
  const one = await ask(localFirst ? cold.worker : fetcher);
  const other = await ask(localFirst ? fetcher : cold.worker);
  const [local, remote] = localFirst ? [one, other] : [other, one];
  const floorAfterMs = await floor.measure();
  expectCached(local, 'local', SHARED_TOKENS);
  expectCached(remote, 'remote', SHARED_TOKENS);
  await quiet(fleet);
  const floorMs = (floorBeforeMs + floorAfterMs) / 2;
  const shown = ({ ttftMs, coordinatorMs, prefixMs }: Streamed) =>
    `${ttftMs.toFixed(1)} ms (${coordinatorMs.toFixed(1)} at the coordinator, prefix in place after ${prefixMs.toFixed(1)})`;
  progress(`cold ${shown(cold)}, local ${shown(local)}, remote ${shown(remote)}, floor ${floorMs.toFixed(1)} ms`);
  return { cold: cold.ttftMs, local: local.ttftMs, remote: remote.ttftMs, floor: floorMs };
}

function expectCached(answer: Streamed, source: keyof Streamed['cached'], tokens: number): void {
  if (answer.cached[source] === tokens) return;
  throw new Error(`expected ${tokens} ${source} tokens, got ${JSON.stringify(answer.cached)}`);
}

async function explain(
  fleet: RunningFleet,
  tokens: readonly number[],
): Promise<{ firstHome: string; holders: Set<string> }> {
  const response = await fleet.post('/v1/cache/explain', { tokens });
  const answer = (await response.json()) as { blocks: { homes: string[]; holders: string[] }[] };
  return { firstHome: answer.blocks[0]!.homes[0]!, holders: new Set(answer.blocks.flatMap(({ holders }) => holders)) };
}

/** Waits until the workers are idle and their blocks are stable, because copies to homes would disturb the next measurement. */
async function quiet(fleet: RunningFleet): Promise<void> {
  let before = '';
  for (let same = 0; same < 3; ) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const response = await callHttp(new URL('/v1/fleet', fleet.url));
    const { workers } = (await response.json()) as { workers: { blocks: number; running: number; waiting: number }[] };
    const now = JSON.stringify(workers.map(({ blocks, running, waiting }) => [blocks, running + waiting]));
    same = now === before && workers.every(({ running, waiting }) => running + waiting === 0) ? same + 1 : 0;
    before = now;
  }
}

/** The baseline: the bare graph prefilling the own tokens after the shared tokens, whose K/V is present. */
class Floor {
  private readonly own = randomTokens(OWN_TOKENS);

  constructor(private readonly loop: BareLoop) {}

  async warm(): Promise<void> {
    const shared = randomTokens(SHARED_TOKENS);
    for (let i = 0; i < SHARED_TOKENS; i += CHUNK_TOKENS) await this.loop.run([shared.slice(i, i + CHUNK_TOKENS)], i);
  }

  async measure(): Promise<number> {
    const startMs = performance.now();
    await this.loop.run([this.own], SHARED_TOKENS);
    return performance.now() - startMs;
  }

  release(): void {
    this.loop.release();
  }
}
