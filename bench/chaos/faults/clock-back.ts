import { RecallLoad } from '../../fleet/recall-load.js';
import { atMost, type Fault, NO_HARM } from '../fault.js';
import { preloaded } from '../preloaded.js';
import { rowOf } from '../views.js';

const MINUTE_MS = 60_000;
const BEHIND_MS = [10 * MINUTE_MS, 60 * MINUTE_MS];

/** A worker is started again where the clock is behind. */
export const clockBack: Fault = {
  name: 'clock-back',
  row: 'clock set back 10 min, then 1 h, and a worker restarted: a worker id that moves to a machine whose clock is behind',
  passesWhen: 'serving within 5 s of its start',
  bounds: { ...NO_HARM, serving_ms: atMost(5_000) },
  needs: [],
  expectedS: 20,
  async run(context) {
    const fleet = await context.members();
    const load = context.load(new RecallLoad(fleet.api, 1, 100, 100));
    const id = context.pick(fleet.workerIds);
    let serving_ms = 0;
    for (const behindMs of BEHIND_MS) {
      const before = rowOf(await fleet.api.workers(), id).pid;
      await fleet.members.get(id)!.stop('SIGKILL');
      const env = { ...preloaded('shifted-clock'), CHAOS_CLOCK_OFFSET_MS: String(-behindMs) };
      const startMs = performance.now();
      void fleet.startWorker(id, { env }).catch((error: unknown) => context.note(String(error)));
      await context.timeUntil(60_000, async () => {
        const { state, pid } = rowOf(await fleet.api.workers(), id);
        return state === 'serving' && pid !== before;
      });
      serving_ms = Math.max(serving_ms, performance.now() - startMs);
    }
    return { ...(await context.harm(load)), serving_ms };
  },
};
