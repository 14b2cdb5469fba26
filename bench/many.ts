import { mapAsDone } from '../src/async/bounded-map.js';
import { Lifecycle } from '../src/lifecycle.js';
import type { FleetClient } from '../src/runtime/client/fleet-client.js';
import { type Benchmark, type BenchOptions, machineLine, type Report, reportRatio, reportRow } from './report.js';
import { Idle, usedBytes } from './runtime-code.js';
import { runtimeFleet } from './runtime-fleet.js';

/** Many actors on one node, and many calls of them: memory of an idle actor, and whether memory grows with calls. */

const ACTORS = 10_000;
const CALLS = 1_000_000;
const AT_A_TIME = 256;
/** The first actors and calls compile code and fill caches. */
const WARM_ACTORS = 500;
const KIB = 1_024;

export const run: Benchmark = async ({ progress }: BenchOptions): Promise<Report> => {
  const life = new Lifecycle();
  try {
    const fleet = await runtimeFleet(life, progress);
    const usedByNode = () => fleet.task(usedBytes, { resources: {} })();
    await called(await created(fleet, WARM_ACTORS), 10 * WARM_ACTORS);
    const before = { node: await usedByNode(), driver: await usedBytes() };
    progress(`creating ${ACTORS} actors`);
    const startMs = performance.now();
    const actors = await created(fleet, ACTORS);
    const createdMs = performance.now() - startMs;
    const idle = { node: await usedByNode(), driver: await usedBytes() };
    progress(`calling them ${CALLS} times`);
    const callMs = performance.now();
    await called(actors, CALLS);
    const calledMs = performance.now() - callMs;
    const after = { node: await usedByNode(), driver: await usedBytes() };
    const kib = (from: number, to: number) => (to - from) / ACTORS / KIB;
    const onNode = kib(before.node, idle.node);
    return {
      name: 'many',
      machine: machineLine(),
      rows: [
        reportRow('creation of an actor', 'ms', [createdMs / ACTORS]),
        reportRow('calls', 'calls/s', [(1_000 * CALLS) / calledMs]),
        reportRow('memory of an idle actor, node', 'KiB', [onNode]),
        reportRow('memory of an idle actor, its creator', 'KiB', [kib(before.driver, idle.driver)]),
        reportRow('more memory of an actor after its calls, node', 'KiB', [kib(idle.node, after.node)]),
        reportRow('more memory of an actor after its calls, caller', 'KiB', [kib(idle.driver, after.driver)]),
      ],
      ratios: [reportRatio('memory of an idle actor, node', [onNode], { kind: 'at most', value: 2 }, 'KiB')],
    };
  } finally {
    await life.stop();
  }
};

async function created(fleet: FleetClient, count: number) {
  const actors = [];
  const make = () => fleet.actor(Idle);
  for await (const actor of mapAsDone(Array.from({ length: count }), AT_A_TIME, make)) actors.push(actor);
  return actors;
}

/** Calls the actors in turn. */
async function called(actors: readonly { call(): Promise<number> }[], calls: number): Promise<void> {
  let begun = 0;
  const caller = async () => {
    while (begun < calls) await actors[begun++ % actors.length]!.call();
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, caller));
}
