import { expect, it, onTestFinished } from 'vitest';
import { DisturbanceNews, type OrderedFault, TELL_AT_MS } from '../../../../coordinator/console/disturbance-news.js';
import type { ActorSystem } from '../../../../src/actors/system.js';
import { DISTURBANCES_ACTOR, DisturbancesProtocol } from '../../../../src/protocol/disturbances.js';
import { SimulatedWorld } from '../../actors/world.js';

const SLOW: OrderedFault = { fault: 'slow', worker: 'w1', seconds: 5 };

function coordinatorsOf(world: SimulatedWorld) {
  return ([world.a, world.b] as ActorSystem[]).map((actors) => {
    const { clock } = world;
    const news = new DisturbanceNews({
      actors,
      coordinators: () => 2,
      clock,
    });
    const heard: [OrderedFault, number][] = [];
    news.listen((fault, agoMs) => heard.push([fault, agoMs]));
    const open = () => actors.spawn(DisturbancesProtocol, DISTURBANCES_ACTOR, () => news.behavior());
    return { news, heard, open };
  });
}

it('the other coordinators hear once of a fault that one of them ordered', async () => {
  const world = new SimulatedWorld();
  onTestFinished(() => world.close());
  const [a, b] = coordinatorsOf(world);
  await a!.open();
  await b!.open();
  a!.news.tell(SLOW);
  await world.pass(2 * TELL_AT_MS.at(-1)!);
  expect(a!.heard).toEqual([]);
  expect(b!.heard).toEqual([[SLOW, expect.any(Number)]]);
  expect(b!.heard[0]![1]).toBeLessThan(1_000);
});

it('a coordinator that could not be found at first hears later, and how long ago it was', async () => {
  const world = new SimulatedWorld();
  onTestFinished(() => world.close());
  const [a, b] = coordinatorsOf(world);
  await a!.open();
  a!.news.tell({ fault: 'stop', worker: null, seconds: 2 });
  await world.pass(3_000);
  await b!.open();
  expect(b!.heard).toEqual([]);
  await world.pass(TELL_AT_MS[1]);
  const [[fault, agoMs]] = b!.heard as [[OrderedFault, number]];
  expect(fault).toEqual({ fault: 'stop', worker: null, seconds: 2 });
  expect(agoMs).toBeGreaterThanOrEqual(TELL_AT_MS[1]);
});
