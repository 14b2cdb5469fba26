import { afterEach, beforeEach, expect, it } from 'vitest';
import { Cancelled } from '../../../src/errors.js';
import { Counter, range } from './code.js';
import { type Member, RuntimeWorld, until } from './world.js';

let world: RuntimeWorld;
let node: Member;
let driver: Member;

beforeEach(async () => {
  world = await RuntimeWorld.make();
  node = await world.node('a');
  driver = await world.driver();
});

afterEach(() => world.close());

const outcome = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (error: unknown) => error,
  );
const left = new Cancelled('this process has left the fleet');

it('Nothing begins once a program has closed its fleet', async () => {
  const { fleet } = driver;
  const counter = await fleet.actor(Counter);
  await fleet.close();
  const begun = {
    actor: fleet.actor(Counter),
    named: fleet.get('counter'),
    task: fleet.task(range)(3),
    group: fleet.group([{ cpu: 1 }]),
    call: counter.add(1),
    list: fleet.listActors(),
  };
  for (const [what, promise] of Object.entries(begun)) expect([what, await outcome(promise)]).toEqual([what, left]);
  expect(() => fleet.put(1)).toThrow(left);
  expect(() => counter.$send.add(1)).toThrow(left);
});

it('What waits for room ends when its program closes its fleet', async () => {
  const { fleet, member } = driver;
  const all = await node.fleet.group([{ cpu: 4 }]);
  await until(member, () => member.directory.get(node.member.self.incarnation)?.free.cpu === 0);
  const waiting = [
    outcome(fleet.actor(Counter, { resources: { cpu: 1 } })),
    outcome(fleet.task(range)(3)),
    outcome(fleet.group([{ cpu: 1 }])),
  ];
  await fleet.listActors();
  await fleet.close();
  expect(await Promise.all(waiting)).toEqual([left, left, left]);
  await all.remove();
});
