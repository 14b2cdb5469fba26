import { RecallLoad } from '../../fleet/recall-load.js';
import { atMost, type Fault, NO_HARM } from '../fault.js';
import { Prefixes } from '../prefixes.js';
import { rowOf, serving } from '../views.js';

const WORKERS = 3;
const PREFIXES = 12;
const RESTORED_WITHIN_MS = 60_000;

/** A worker of a loaded fleet is killed. */
export const killWorker: Fault = {
  name: 'kill-worker',
  row: 'kill -9 a worker, R = 2, under load',
  passesWhen: 'noticed within 1 s; failed requests 0; acknowledged blocks lost 0; R restored for all within 60 s',
  bounds: {
    ...NO_HARM,
    noticed_ms: atMost(1_000),
    lost_blocks: atMost(0),
    restored_ms: atMost(RESTORED_WITHIN_MS - 1),
  },
  needs: [],
  expectedS: 20,
  async run(context) {
    const fleet = await context.up(['--workers', String(WORKERS), '--replicas', '2']);
    const prefixes = await Prefixes.compute(fleet, PREFIXES, { seed: 10_000 });
    await context.until('all blocks have two copies', 30_000, () => prefixes.have(2));
    const load = context.load(new RecallLoad(fleet, 4, 100));
    await context.pause(context.between(1_000, 3_000));
    const victim = context.pick(fleet.ready.workers);
    context.progress(`killing ${victim.id}`);
    process.kill(victim.pid, 'SIGKILL');
    const gone = async () => {
      const { state, pid } = rowOf(await fleet.workers(), victim.id);
      return state !== 'serving' || pid !== victim.pid;
    };
    const noticed_ms = await context.timeUntil(10_000, gone);
    const lost_blocks = (await prefixes.copies()).filter((copies) => copies === 0).length;
    const restored = async () => serving(await fleet.workers()).length === WORKERS && prefixes.have(2);
    const restored_ms = await context.timeUntil(RESTORED_WITHIN_MS, restored);
    return { ...(await context.harm(load)), noticed_ms, lost_blocks, restored_ms };
  },
};
