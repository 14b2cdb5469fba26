import { actorSuite } from './suite.js';
import { SimulatedWorld } from './world.js';

actorSuite('in simulated time', () => new SimulatedWorld());
