import { RecallLoad } from '../../fleet/recall-load.js';
import { atLeast, atMost, type Fault, NO_HARM } from '../fault.js';
import { Prefixes } from '../prefixes.js';
import { serving } from '../views.js';

const AWAY_MS = 10_000;
const IN_SYNC_MS = 10_000;
const PREFIXES = 8;

/** NATS stops for 10 s and is started again. */
export const natsStopped: Fault = {
  name: 'nats-stopped',
  row: 'stop NATS for 10 s, then start it',
  passesWhen: 'running and new requests served; no mass eviction; in sync 10 s after',
  bounds: {
    ...NO_HARM,
    requests_meanwhile: atLeast(10),
    lost_blocks: atMost(0),
    processes_ended: atMost(0),
    in_sync_ms: atMost(IN_SYNC_MS),
  },
  needs: [],
  expectedS: 30,
  async run(context) {
    const fleet = await context.members();
    const prefixes = await Prefixes.compute(fleet.api, PREFIXES, { seed: 10_000 });
    await context.until('all blocks have two copies', 30_000, () => prefixes.have(2));
    const load = context.load(new RecallLoad(fleet.api, 4, 100));
    await context.pause(context.between(500, 2_000));
    const before = load.answers.length;
    await fleet.stopNats();
    await context.pause(AWAY_MS);
    const requests_meanwhile = load.answers.length - before;
    await fleet.startNats();
    const healthy = async () => {
      const { status } = await fleet.api.health();
      return status === 'ok' && serving(await fleet.api.workers()).length === fleet.workerIds.length;
    };
    const in_sync_ms = await context.timeUntil(2 * IN_SYNC_MS, healthy);
    const lost_blocks = (await prefixes.copies()).filter((copies) => copies === 0).length;
    const processes_ended = [...fleet.members.values()].filter(({ alive }) => !alive).length;
    return { ...(await context.harm(load)), requests_meanwhile, lost_blocks, processes_ended, in_sync_ms };
  },
};
