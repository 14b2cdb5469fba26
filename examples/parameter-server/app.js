import { connect } from 'shoal';
import { ParameterServer, trainStep } from './code.js';

// Many tasks train one model, whose parameters an actor holds. The handle of the actor is an argument of each task.
// shoal run examples/parameter-server/app.js --actors examples/parameter-server/code.js

const fleet = await connect();
const server = await fleet.actor(ParameterServer, {
  args: [2, 0.1],
  name: 'parameters',
  getIfExists: true,
  maxRestarts: 1,
});
const step = fleet.task(trainStep, { near: { actor: server }, maxTaskRetries: 1 });
for (let round = 0; round < 40; round++) await Promise.all([step(server, 64), step(server, 64)]);
console.log('weights', [...(await server.pull())].map((weight) => weight.toFixed(2)).join(' '));
await fleet.close();
