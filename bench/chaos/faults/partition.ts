import { RecallLoad } from '../../fleet/recall-load.js';
import { atLeast, atMost, type Fault, NO_HARM } from '../fault.js';
import { Prefixes } from '../prefixes.js';
import { serving, Views } from '../views.js';

const CUT_MS = 8_000;

/** Two workers cannot reach each other: what one sends is lost, or what both send. */
export const partition: Fault = {
  name: 'partition',
  row: 'partition between two workers, one way and both ways, under load',
  passesWhen:
    'requests served; fetches fail over to the other home or recompute; no flapping (at most one view change per node and fault)',
  bounds: {
    ...NO_HARM,
    requests_meanwhile: atLeast(20),
    view_changes: atMost(1),
    processes_ended: atMost(0),
    healed_ms: atMost(10_000),
  },
  needs: ['addresses'],
  expectedS: 40,
  async run(context) {
    const fleet = await context.members({ proxied: true });
    const [a, b] = fleet.workerIds as [string, string];
    await Prefixes.compute(fleet.api, 4, { seed: 10_000 });
    const load = context.load(new RecallLoad(fleet.api, 4, 100));
    const silent = { kind: 'silent' } as const;
    const cuts = [() => fleet.wires.set(a, b, silent), () => fleet.wires.setBoth(a, b, silent)];
    let view_changes = 0;
    let requests_meanwhile = 0;
    let healed_ms = 0;
    for (const cut of cuts) {
      const views = context.life.use(new Views(fleet.api), (watching) => watching.stop());
      const before = load.answers.length;
      cut();
      await context.pause(CUT_MS);
      requests_meanwhile += load.answers.length - before;
      fleet.wires.heal();
      const all = async () => serving(await fleet.api.workers()).length === fleet.workerIds.length;
      healed_ms = Math.max(healed_ms, await context.timeUntil(20_000, all));
      await context.pause(1_000);
      views.stop();
      view_changes = Math.max(view_changes, views.most);
    }
    const processes_ended = [...fleet.members.values()].filter(({ alive }) => !alive).length;
    return { ...(await context.harm(load)), requests_meanwhile, view_changes, processes_ended, healed_ms };
  },
};
