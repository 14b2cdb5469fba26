import { afterEach, beforeEach, expect, it } from 'vitest';
import { SystemClock } from '../../../src/clock.js';
import { Refused } from '../../../src/errors.js';
import { createLog } from '../../../src/log.js';
import { requireNoNamesake, watchNamesakes } from '../../../src/runtime/member/node-namesake.js';
import { RuntimeWorld, until } from './world.js';

let world: RuntimeWorld;

beforeEach(async () => {
  world = await RuntimeWorld.make();
});

afterEach(() => world.close());

it('a node is refused while another one of its id lives, and not after that', async () => {
  const first = await world.node('a');
  await world.driver('b');
  const { bus, actors } = await world.bystander('newcomer');
  const check = (id: string) => requireNoNamesake({ bus, clock: new SystemClock(), namespace: 'test', id });
  const refusal = await check('a').catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(Refused);
  expect((refusal as Error).message).toMatch(/named a too: process \d+ on this host; give each a --node-id/);
  // The names of drivers are for lists only.
  await check('b');
  await first.vanish();
  await check('a');
  await actors.stop();
  await bus.close();
});

it('a node logs another one of its id that it hears later', async () => {
  const { member } = await world.node('a');
  const lines: string[] = [];
  const log = createLog({ level: 'info', write: (line) => lines.push(JSON.parse(line).msg) });
  const end = watchNamesakes(member.directory, member.self, log);
  const other = await world.node('a', { listens: false });
  await until(member, () => member.directory.get(other.member.self.incarnation) !== null);
  expect(lines[0]).toMatch(/another node of this fleet is named a too/);
  end();
});
