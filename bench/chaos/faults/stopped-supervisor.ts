import { RecallLoad } from '../../fleet/recall-load.js';
import { atMost, type Fault, NO_HARM } from '../fault.js';
import { hasComeBack, rowOf } from '../views.js';

const WORKERS = 3;
const VICTIM = 'worker-2';
const STOPPED_MS = 10_000;
const BACK_MS = 60_000;

/** The process that restarts others stands still while one of them dies. */
export const stoppedSupervisor: Fault = {
  name: 'stopped-supervisor',
  row: 'SIGSTOP shoal up for 10 s, and kill -9 a worker meanwhile',
  passesWhen: 'failed requests 0; the worker is restarted after SIGCONT',
  bounds: { ...NO_HARM, serving_ms: atMost(BACK_MS - 1) },
  needs: [],
  expectedS: 30,
  async run(context) {
    const fleet = await context.up(['--workers', String(WORKERS), '--replicas', '2']);
    const { pid: supervisor } = fleet.ready;
    const load = context.load(new RecallLoad(fleet, 2, 100, 100));
    await load.more(20);
    const { pid } = rowOf(await fleet.workers(), VICTIM);
    process.kill(supervisor, 'SIGSTOP');
    // A stopped process cannot stop its fleet, should the row end now.
    context.life.use(supervisor, () => void process.kill(supervisor, 'SIGCONT'));
    process.kill(pid, 'SIGKILL');
    await context.pause(STOPPED_MS);
    await load.more(10);
    process.kill(supervisor, 'SIGCONT');
    const serving_ms = await context.timeUntil(BACK_MS, () => hasComeBack(fleet, { id: VICTIM, pid }, WORKERS));
    return { ...(await context.harm(load)), serving_ms };
  },
};
