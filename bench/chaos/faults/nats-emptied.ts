import { RecallLoad } from '../../fleet/recall-load.js';
import { atLeast, type Fault, NO_HARM } from '../fault.js';
import { rowOf, serving } from '../views.js';

const REFUSED_WITHIN_MS = 20_000;
const JOINED_WITHIN_MS = 20_000;

/** NATS loses everything that it stored. */
export const natsEmptied: Fault = {
  name: 'nats-emptied',
  row: 'NATS comes back empty, under load; then a newcomer with other settings and one with the same',
  passesWhen: "the members restore the fleet's charter; a newcomer with other settings is refused",
  bounds: { ...NO_HARM, newcomer_refused: atLeast(1), newcomer_joined: atLeast(1), serving_before: atLeast(3) },
  needs: [],
  expectedS: 30,
  async run(context) {
    const fleet = await context.members();
    const load = context.load(new RecallLoad(fleet.api, 2, 100));
    await context.pause(context.between(500, 2_000));
    await fleet.stopNats();
    await fleet.emptyNats();
    await fleet.startNats();
    await context.until('all is well', 30_000, async () => (await fleet.api.health()).status === 'ok');
    const serving_before = serving(await fleet.api.workers()).length;
    const stranger = fleet.spawn(
      'stranger',
      [],
      ['worker', '--worker-id', 'stranger', '--context', '4096', '--replicas', '3'],
    );
    await context.timeUntil(REFUSED_WITHIN_MS, () => !stranger.alive);
    const newcomer_refused = stranger.alive ? 0 : 1;
    await stranger.stop('SIGKILL');
    const newcomer = fleet.startWorker('newcomer');
    newcomer.catch((error: unknown) => context.note(`the newcomer: ${String(error).split('\n').at(-1)}`));
    const joined = async () => rowOf(await fleet.api.workers(), 'newcomer').state === 'serving';
    const newcomer_joined = (await context.timeUntil(JOINED_WITHIN_MS, joined)) < JOINED_WITHIN_MS ? 1 : 0;
    return { ...(await context.harm(load)), serving_before, newcomer_refused, newcomer_joined };
  },
};
