import { RecallLoad } from '../../fleet/recall-load.js';
import { atMost, type Fault, NO_HARM } from '../fault.js';
import { promptsOf } from '../prefixes.js';
import { preloaded } from '../preloaded.js';

const OFF_MS = 10 * 60_000;
const BACK_MS = 60_000;
const NOTES = 24;

/** Two workers whose clocks are wrong in opposite ways, and then the other way round. */
export const clocksSwapped: Fault = {
  name: 'clocks-swapped',
  row: 'clocks of two workers 10 min ahead and 10 min behind, then each the other way round, with a pinned prompt',
  passesWhen: 'failed requests 0; the prompt has R copies each time',
  bounds: { ...NO_HARM, copied_ms: atMost(BACK_MS - 1) },
  needs: [],
  expectedS: 40,
  async run(context) {
    const fleet = await context.members();
    const { api } = fleet;
    const load = context.load(new RecallLoad(api, 2, 100, 100));
    const { prompt } = promptsOf(NOTES, 777)[0]!;
    await api.post('/v1/cache/pin', { prompt, ttl_s: 3600 });
    let copied_ms = 0;
    for (const offsetMs of [OFF_MS, -OFF_MS]) {
      for (const [id, ownMs] of [['worker-1', offsetMs] as const, ['worker-2', -offsetMs] as const]) {
        await fleet.members.get(id)!.stop('SIGKILL');
        await fleet.startWorker(id, {
          env: { ...preloaded('shifted-clock'), CHAOS_CLOCK_OFFSET_MS: String(ownMs) },
        });
        await fleet.allServe();
      }
      await load.more(20);
      const tookMs = await context.timeUntil(BACK_MS, async () => {
        const copies = await api.copies(prompt);
        return copies.every((count) => count >= 2);
      });
      copied_ms = Math.max(copied_ms, tookMs);
    }
    return { ...(await context.harm(load)), copied_ms };
  },
};
