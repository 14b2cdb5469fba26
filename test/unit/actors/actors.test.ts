import { actorSuite } from './suite.js';
import { SimulatedWorld } from './world.js';

actorSuite('in simulated time', () => new SimulatedWorld());
actorSuite('over a direct link', () => new SimulatedWorld().link());
actorSuite('over a direct link without a bus', () => {
  const world = new SimulatedWorld().link();
  world.busA.lose();
  world.busB.lose();
  return world;
});
