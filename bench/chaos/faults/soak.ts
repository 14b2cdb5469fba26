import { setTimeout as sleep } from 'node:timers/promises';
import { RecallLoad } from '../../fleet/recall-load.js';
import type { UpFleet } from '../../fleet/up-fleet.js';
import type { ChaosContext } from '../context.js';
import { atLeast, atMost, type Fault, NO_HARM } from '../fault.js';
import { type MemorySample, memoryTrend } from '../memory-trend.js';
import { residentMib } from '../resident.js';
import { serving } from '../views.js';

const WORKERS = 4;
const FULL_CLIENTS = 8;
const CAPACITY_MS = 15_000;
const LOAD = 0.7;
/** Requests in flight at most, should the fleet fall behind. */
const CLIENTS = 32;
const KILLS = 20;
const LONGEST_PAUSE_MS = 60_000;
const SHORTEST_PAUSE_MS = 10_000;
const SAMPLE_MS = 1_000;
const SERVE_AGAIN_MS = 60_000;
/** Share of the run before memory is judged: caches and heaps fill, and workers get their usual ages. */
const WARM_UP = 0.3;
const LAST_SHEETS = 8;
/** Growth along the trend that counts as none, in standard deviations of the noise and as a share of the memory. */
const NOISE_SIGMAS = 2;
const TOLERANCE = 0.01;

/** One worker after another is killed, for a long time. */
export const soak: Fault = {
  name: 'soak',
  row: 'kill -9 one worker after another, every 10 to 60 s, for the time of --for, at 70 % of the capacity',
  passesWhen: 'failed requests 0, wrong answers 0; resident memory grows no more than its noise; R for all at the end',
  bounds: {
    ...NO_HARM,
    kills: atLeast(3),
    quarantined: atMost(0),
    growth_over_noise: atMost(1),
    restored_ms: atMost(SERVE_AGAIN_MS - 1),
  },
  needs: [],
  expectedS: 60,
  async run(context) {
    const fleet = await context.up(['--workers', String(WORKERS), '--replicas', '2', '--cache-bytes', '64MiB']);
    const perS = await capacityPerS(context, fleet);
    context.progress(`the fleet answers ${perS.toFixed(1)} requests a second; sending ${(LOAD * perS).toFixed(1)}`);
    const load = context.load(new RecallLoad(fleet, CLIENTS, 100, paced(LOAD * perS)));
    const { kills, samples, periodMs } = await killInTurn(context, fleet, load);
    const harm = await context.harm(load);
    const last = load.prompts().slice(-LAST_SHEETS);
    const restored = async () =>
      (await Promise.all(last.map((prompt) => fleet.copies(prompt)))).flat().every((n) => n >= 2);
    const restored_ms = await context.timeUntil(SERVE_AGAIN_MS, restored);
    const quarantined = await fleet.metric('shoal_prompts_quarantined_total');
    return { ...harm, kills, quarantined, capacity_per_s: perS, ...memoryOf(samples, periodMs), restored_ms };
  },
};

async function capacityPerS(context: ChaosContext, fleet: UpFleet): Promise<number> {
  const load = context.load(new RecallLoad(fleet, FULL_CLIENTS, 50_000));
  await load.more(FULL_CLIENTS);
  const { requests } = await load.during(context.pause(CAPACITY_MS));
  await load.stop();
  return requests / (CAPACITY_MS / 1000);
}

/** Lets callers go on at this rate in all, however long what they do takes. */
function paced(perS: number): () => Promise<void> {
  let nextMs = performance.now();
  return async () => {
    // What the fleet falls behind by is not made up for.
    nextMs = Math.max(nextMs + 1000 / perS, performance.now() - 1000 / perS);
    await sleep(Math.max(0, nextMs - performance.now()));
  };
}

async function killInTurn(context: ChaosContext, fleet: UpFleet, load: RecallLoad) {
  const { soakMs } = context;
  const periodMs = Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, soakMs / KILLS));
  const samples: MemorySample[] = [];
  const startMs = performance.now();
  let kills = 0;
  for (let killMs = startMs + periodMs; killMs <= startMs + soakMs; killMs += periodMs) {
    while (performance.now() < killMs) {
      await context.pause(SAMPLE_MS);
      const mib = await residentOf(fleet).catch(() => null);
      if (mib !== null) samples.push({ atMs: performance.now() - startMs, mib });
    }
    await context.until(
      'all workers serve',
      SERVE_AGAIN_MS,
      async () => serving(await fleet.workers()).length === WORKERS,
    );
    const victim = (await fleet.workers())[kills++ % WORKERS]!;
    context.progress(
      `killing ${victim.id}: ${load.answers.length} answered, ${load.failed.length} failed, ${samples.at(-1)?.mib.toFixed(0)} MiB`,
    );
    process.kill(victim.pid, 'SIGKILL');
  }
  await context.until(
    'all workers serve',
    SERVE_AGAIN_MS,
    async () => serving(await fleet.workers()).length === WORKERS,
  );
  return { kills, samples: samples.filter(({ atMs }) => atMs > WARM_UP * soakMs), periodMs };
}

/** Memory of all processes of a fleet that is complete. */
async function residentOf(fleet: UpFleet): Promise<number | null> {
  const { workers, coordinators } = await fleet.fleet();
  if (serving(workers).length < WORKERS) return null;
  return residentMib([fleet.ready.pid, ...[...workers, ...coordinators].map(({ pid }) => pid)]);
}

function memoryOf(samples: readonly MemorySample[], periodMs: number): Record<string, number> {
  const trend = memoryTrend(samples, periodMs);
  if (trend === null) return {};
  const { medianMib, growthMib, noiseMib } = trend;
  const growth_over_noise = Math.max(0, growthMib) / (NOISE_SIGMAS * noiseMib + TOLERANCE * medianMib);
  return { memory_mib: medianMib, growth_mib: growthMib, noise_mib: noiseMib, growth_over_noise };
}
