import { RecallLoad } from '../../fleet/recall-load.js';
import type { ChaosContext } from '../context.js';
import { atMost, type Fault, type Figures, NO_HARM } from '../fault.js';
import { rowOf, serving } from '../views.js';

const PAUSES_MS = [2_000, 10_000];
const SUSPECT_WITHIN_MS = 2_000;
const BACK_WITHIN_MS = 10_000;

/** A worker stands still for some seconds. */
export const pauseWorker: Fault = {
  name: 'pause-worker',
  row: 'SIGSTOP a worker for 2 s and for 10 s, then SIGCONT, under load',
  passesWhen:
    'suspect within 2 s; its requests move; failed requests 0; afterwards it rejoins in the same process and incarnation',
  bounds: {
    ...NO_HARM,
    suspect_ms: atMost(SUSPECT_WITHIN_MS),
    back_ms: atMost(BACK_WITHIN_MS),
    other_processes: atMost(0),
  },
  needs: [],
  expectedS: 40,
  async run(context) {
    const fleet = await context.up(['--workers', '3', '--replicas', '2']);
    const load = context.load(new RecallLoad(fleet, 4, 100));
    await context.pause(1_000);
    const before = await fleet.workers();
    const figures: Record<string, number> = { suspect_ms: 0, back_ms: 0, other_processes: 0 };
    for (const ms of PAUSES_MS) {
      const seen = await pauseOne(context, fleet, ms);
      for (const [name, value] of Object.entries(seen)) figures[name] = Math.max(figures[name]!, value);
    }
    const after = await fleet.workers();
    figures.other_processes = before.filter(
      ({ id, pid, incarnation }) => rowOf(after, id).pid !== pid || rowOf(after, id).incarnation !== incarnation,
    ).length;
    return { ...(await context.harm(load)), ...figures };
  },
};

async function pauseOne(
  context: ChaosContext,
  fleet: Awaited<ReturnType<ChaosContext['up']>>,
  ms: number,
): Promise<Figures> {
  const victim = context.pick(fleet.ready.workers);
  const resume = context.life.use(
    () => process.kill(victim.pid, 'SIGCONT'),
    (again) => again(),
  );
  context.progress(`pausing ${victim.id} for ${ms} ms`);
  process.kill(victim.pid, 'SIGSTOP');
  const suspect = async () => rowOf(await fleet.workers(), victim.id).state !== 'serving';
  const startMs = performance.now();
  // A worker may be suspected only at the last moment of a short pause.
  const suspect_ms = await context.timeUntil(ms + 500, suspect);
  await context.pause(Math.max(0, ms - (performance.now() - startMs)));
  resume();
  const back = async () => serving(await fleet.workers()).length === 3;
  return { suspect_ms, back_ms: await context.timeUntil(2 * BACK_WITHIN_MS, back) };
}
