import { RecallLoad } from '../../fleet/recall-load.js';
import type { UpFleet } from '../../fleet/up-fleet.js';
import { atLeast, atMost, type Fault, NO_HARM } from '../fault.js';
import { processTree } from '../resident.js';
import { hasComeBack, rowOf } from '../views.js';

const WORKERS = 3;
const BACK_MS = 60_000;

/** The server of NATS dies, with all that it keeps, each time that a worker is restarted. */
export const natsInRollingRestart: Fault = {
  name: 'nats-in-rolling-restart',
  row: 'rolling restart of all workers under load, and kill -9 NATS at the beginning of each',
  passesWhen: 'failed requests 0; each worker serves again',
  bounds: { ...NO_HARM, nats_killed: atLeast(WORKERS), serving_ms: atMost(BACK_MS - 1) },
  needs: [],
  expectedS: 50,
  async run(context) {
    const fleet = await context.up(['--workers', String(WORKERS), '--replicas', '2']);
    const load = context.load(new RecallLoad(fleet, 3, 100, 50));
    await load.more(30);
    let nats_killed = 0;
    let serving_ms = 0;
    for (const { id } of await fleet.workers()) {
      const { pid } = rowOf(await fleet.workers(), id);
      process.kill(pid, 'SIGTERM');
      await context.pause(context.between(0, 500));
      await context.until('NATS runs', BACK_MS, () => natsServers(fleet).length > 0);
      for (const server of natsServers(fleet)) {
        process.kill(server, 'SIGKILL');
        nats_killed++;
      }
      const tookMs = await context.timeUntil(BACK_MS, () => hasComeBack(fleet, { id, pid }, WORKERS));
      serving_ms = Math.max(serving_ms, tookMs);
      await load.more(10);
    }
    return { ...(await context.harm(load)), nats_killed, serving_ms };
  },
};

function natsServers(fleet: UpFleet): number[] {
  return processTree(fleet.ready.pid).flatMap(({ pid, name }) => (name === 'nats-server' ? [pid] : []));
}
