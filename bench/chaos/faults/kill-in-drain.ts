import { RecallLoad } from '../../fleet/recall-load.js';
import { atMost, type Fault, NO_HARM } from '../fault.js';
import { hasComeBack, rowOf } from '../views.js';

const WORKERS = 3;
const BACK_MS = 60_000;

/** Workers die while they hand over their blocks. */
export const killInDrain: Fault = {
  name: 'kill-in-drain',
  row: 'kill -9 each worker in the middle of its drain, one after another, under load',
  passesWhen: 'failed requests 0; each serves again; R for the last prompts',
  bounds: { ...NO_HARM, serving_ms: atMost(BACK_MS - 1), restored_ms: atMost(BACK_MS - 1) },
  needs: [],
  expectedS: 35,
  async run(context) {
    const fleet = await context.up(['--workers', String(WORKERS), '--replicas', '2']);
    const load = context.load(new RecallLoad(fleet, 3, 100, 50));
    await load.more(30);
    let serving_ms = 0;
    for (const { id } of await fleet.workers()) {
      const { pid } = rowOf(await fleet.workers(), id);
      await fleet.post(`/v1/fleet/workers/${id}/drain`, {});
      await context.pause(context.between(0, 100));
      process.kill(pid, 'SIGKILL');
      const tookMs = await context.timeUntil(BACK_MS, () => hasComeBack(fleet, { id, pid }, WORKERS));
      serving_ms = Math.max(serving_ms, tookMs);
    }
    const last = load.prompts().slice(-4);
    const restored_ms = await context.timeUntil(BACK_MS, async () =>
      (await Promise.all(last.map((prompt) => fleet.copies(prompt)))).flat().every((copies) => copies >= 2),
    );
    return { ...(await context.harm(load)), serving_ms, restored_ms };
  },
};
