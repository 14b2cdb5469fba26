import { setTimeout as sleep } from 'node:timers/promises';
import { RecallLoad } from '../../fleet/recall-load.js';
import type { UpFleet } from '../../fleet/up-fleet.js';
import type { ChaosContext } from '../context.js';
import { atLeast, atMost, type Fault, NO_HARM } from '../fault.js';
import { type JudgedProcess, MemoryWatch } from '../memory-watch.js';
import { type NamedProcess, processTree } from '../resident.js';
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
const LAST_SHEETS = 8;
/** This worker is never killed, so that a leak in workers shows. */
const SPARED = 'worker-1';

/** One worker after another is killed but the first, for a long time. */
export const soak: Fault = {
  name: 'soak',
  row: 'kill -9 one worker after another but the first, every 10 to 60 s, for the time of --for, at 70 % of the capacity',
  passesWhen:
    'failed requests 0, wrong answers 0; resident memory of each process that lives through the run grows no more than its noise in the second half; R for all at the end',
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
    // The spared worker's memory is full after a while. In a pooled fleet it would take no more copies.
    const memory = ['--cache-bytes', '64MiB', '--durability', 'strict'];
    const fleet = await context.up(['--workers', String(WORKERS), '--replicas', '2', ...memory]);
    const perS = await capacityPerS(context, fleet);
    context.progress(`the fleet answers ${perS.toFixed(1)} requests a second; sending ${(LOAD * perS).toFixed(1)}`);
    const load = context.load(new RecallLoad(fleet, CLIENTS, 100, paced(LOAD * perS)));
    const { kills, judged } = await killInTurn(context, fleet, load);
    const harm = await context.harm(load);
    const last = load.prompts().slice(-LAST_SHEETS);
    const restored = async () =>
      (await Promise.all(last.map((prompt) => fleet.copies(prompt)))).flat().every((n) => n >= 2);
    const restored_ms = await context.timeUntil(SERVE_AGAIN_MS, restored);
    const quarantined = await fleet.metric('shoal_prompts_quarantined_total');
    return { ...harm, kills, quarantined, capacity_per_s: perS, ...memoryOf(context, judged), restored_ms };
  },
};

async function capacityPerS(context: ChaosContext, fleet: UpFleet): Promise<number> {
  const load = context.load(new RecallLoad(fleet, FULL_CLIENTS, 50_000));
  await load.more(FULL_CLIENTS);
  const { requests } = await load.during(context.pause(CAPACITY_MS));
  await load.stop();
  return requests / (CAPACITY_MS / 1000);
}

/** Paces callers at this total rate, regardless of how long their work takes. */
function paced(perS: number): () => Promise<void> {
  let nextMs = performance.now();
  return async () => {
    // The fleet does not have to catch up with a backlog.
    nextMs = Math.max(nextMs + 1000 / perS, performance.now() - 1000 / perS);
    await sleep(Math.max(0, nextMs - performance.now()));
  };
}

async function killInTurn(context: ChaosContext, fleet: UpFleet, load: RecallLoad) {
  const { soakMs } = context;
  const periodMs = Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, soakMs / KILLS));
  const watch = new MemoryWatch(soakMs);
  const startMs = performance.now();
  let kills = 0;
  for (let killMs = startMs + periodMs; killMs <= startMs + soakMs; killMs += periodMs) {
    while (performance.now() < killMs) {
      await context.pause(SAMPLE_MS);
      watch.sample(performance.now() - startMs, await processesOf(fleet));
    }
    await context.until(
      'all workers serve',
      SERVE_AGAIN_MS,
      async () => serving(await fleet.workers()).length === WORKERS,
    );
    const victims = (await fleet.workers()).filter(({ id }) => id !== SPARED);
    const victim = victims[kills++ % victims.length]!;
    context.progress(`killing ${victim.id}: ${load.answers.length} answered, ${load.failed.length} failed`);
    process.kill(victim.pid, 'SIGKILL');
  }
  await context.until(
    'all workers serve',
    SERVE_AGAIN_MS,
    async () => serving(await fleet.workers()).length === WORKERS,
  );
  return { kills, judged: watch.judge() };
}

/** `shoal up` and all that it started, under the names that the fleet has for them. */
async function processesOf(fleet: UpFleet): Promise<NamedProcess[]> {
  const { workers, coordinators } = await fleet.fleet();
  const ids = new Map([...workers, ...coordinators].map(({ pid, id }) => [pid, id]));
  ids.set(fleet.ready.pid, 'up');
  return processTree(fleet.ready.pid).map(({ pid, name }) => ({ pid, name: ids.get(pid) ?? name }));
}

/** The figures of the process that grew most against its noise. */
function memoryOf(context: ChaosContext, judged: readonly JudgedProcess[]): Record<string, number> {
  for (const { name, medianMib, growthMib, noiseMib } of judged) {
    const said = [medianMib, growthMib, noiseMib].map((mib) => mib.toFixed(1));
    context.progress(`${name} has ${said[0]} MiB, and grew by ${said[1]} MiB with a noise of ${said[2]} MiB`);
  }
  const worst = judged[0];
  if (worst === undefined) return {};
  const { name, medianMib, growthMib, noiseMib, growthOverNoise } = worst;
  if (growthOverNoise > 1) context.note(`the memory of ${name} grows`);
  return { memory_mib: medianMib, growth_mib: growthMib, noise_mib: noiseMib, growth_over_noise: growthOverNoise };
}
