import { RecallLoad } from '../../fleet/recall-load.js';
import { atLeast, atMost, type Fault, NO_HARM } from '../fault.js';

/** A second worker is started under the id of a living one. */
export const duplicateId: Fault = {
  name: 'duplicate-id',
  row: 'duplicate worker id, under load',
  passesWhen: 'the second is refused, or the newer incarnation fences the older: never both',
  bounds: { ...NO_HARM, ended: atLeast(1), left: atLeast(1), left_at_most: atMost(1), fenced_ms: atMost(10_000) },
  needs: [],
  expectedS: 15,
  async run(context) {
    const fleet = await context.members();
    const [id] = fleet.workerIds as [string];
    const first = fleet.members.get(id)!;
    const load = context.load(new RecallLoad(fleet.api, 3, 100));
    await context.pause(context.between(500, 1_500));
    const second = await fleet.startWorker(id);
    const fenced_ms = await context.timeUntil(20_000, () => !first.alive || !second.alive);
    await context.pause(2_000);
    const left = [first, second].filter(({ alive }) => alive).length;
    return { ...(await context.harm(load)), ended: 2 - left, left, left_at_most: left, fenced_ms };
  },
};
