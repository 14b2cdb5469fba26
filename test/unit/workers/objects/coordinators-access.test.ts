import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Behavior } from '../../../../src/actors/protocol.js';
import { objectName } from '../../../../src/objects/object-name.js';
import { ACCESS_ACTOR, AccessProtocol } from '../../../../src/protocol/access.js';
import { CoordinatorsAccess } from '../../../../workers/objects/coordinators-access.js';
import { SimulatedWorld } from '../../actors/world.js';
import { type RespProbe, RespStation } from '../../resp/support/resp-station.js';

/** A worker's clients of the Redis protocol, whose keys and limits only coordinators know. */

const KEY = 'k'.repeat(24);
let world: SimulatedWorld;
let access: CoordinatorsAccess;
let station: RespStation;
beforeEach(async () => {
  world = new SimulatedWorld();
  access = new CoordinatorsAccess(world.a, world.clock, false);
  station = await RespStation.open({ access });
});
afterEach(async () => {
  access.stop();
  await station.close();
  await world.close();
});

/** Advances time until a promise is settled: the worker looks for coordinators, which may not be there. */
async function inTime<T>(promise: Promise<T>): Promise<T> {
  let over = false;
  const end = () => {
    over = true;
  };
  promise.then(end, end);
  while (!over) {
    await world.pass(100);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return promise;
}

const coordinator = (limited: boolean, used: string[]): Behavior<typeof AccessProtocol> => ({
  openness: () => ({ open: false }),
  authenticate: ({ password }) => ({ principal: password === KEY ? { space: 'key/tenant/a:all', name: 'a' } : null }),
  use: ({ command }) => {
    used.push(command);
    return { refused: used.length > 2 ? 'over its limit' : null, limited };
  },
});

async function client(limited: boolean, used: string[]): Promise<RespProbe> {
  await world.b.spawn(AccessProtocol, ACCESS_ACTOR, () => coordinator(limited, used));
  access.start();
  const probe = await station.client();
  expect(await inTime(probe.one('AUTH', KEY))).toBe('OK');
  return probe;
}

it('A command counts at a coordinator, and is refused if the coordinator refuses it', async () => {
  const used: string[] = [];
  const probe = await client(true, used);
  expect(await inTime(probe.one('SET', 'a', '1'))).toBe('OK');
  expect(await inTime(probe.one('SET', 'a', '2'))).toBe('OK');
  expect(await inTime(probe.one('SET', 'a', '3'))).toBe('-ERR over its limit');
  expect(await inTime(probe.one('GET', 'a'))).toBe('2');
  expect(used).toEqual(['set', 'set', 'set']);
});

it('A command that counts does not run while no coordinator answers', async () => {
  const probe = await client(true, []);
  expect(await inTime(probe.one('SET', 'a', '1'))).toBe('OK');
  await world.b.stop();
  expect(await inTime(probe.one('SET', 'a', '2'))).toMatch(/^-TRYAGAIN no coordinator answers/);
  expect(await inTime(access.use({ credentials: null, command: 'flushdb', address: 'unix' }).catch(String))).toMatch(
    /no coordinator answers/,
  );
  const { hash } = objectName('key/tenant/a:all', Buffer.from('a'));
  expect(station.objects.store.get(hash)?.value.copy().toString()).toBe('1');
});
