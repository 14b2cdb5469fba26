import { expect, test } from 'vitest';
import type { KeyValue } from '../../../src/bus/key-value.js';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { MemoryKeyValue } from '../../../src/bus/memory-key-value.js';
import { sealTransport } from '../../../src/bus/sealed-transport.js';
import type { Transport } from '../../../src/bus/transport.js';
import { SimulatedClock } from '../../../src/clock.js';
import { Refused, Unavailable } from '../../../src/errors.js';
import { joinFleet } from '../../../src/fleet/joining.js';
import { checkSecret } from '../../../src/fleet/secret-check.js';
import { fleetSubjects } from '../../../src/fleet/subjects.js';
import { createLog } from '../../../src/log.js';
import { SeededRandom } from '../../../src/random.js';
import { passTime } from '../../support/pass-time.js';

const [SECRET, OLD_SECRET] = ['the secret of the fleet', 'the secret of last year'];

/** A NATS in memory, and processes with a secret on it. */
function world() {
  const [broker, clock, kv] = [new MemoryBroker(), new SimulatedClock(), new MemoryKeyValue()];
  let seed = 0;
  const opening = { openKeyValue: async (): Promise<KeyValue> => kv };
  const process = (secret: string): Transport => {
    const id = `process-${++seed}`;
    const self = { id, incarnation: '1' };
    const random = new SeededRandom(seed);
    const transport = { bus: broker.connect(id), openKeyValue: () => opening.openKeyValue() };
    return sealTransport(transport, { clock, random, secret, self, namespace: 'fleet' });
  };
  const lines: string[] = [];
  const log = createLog({ level: 'info', write: (line) => lines.push(JSON.parse(line).msg) });
  const found = async (secret: string) => {
    const config = { namespace: 'fleet', replicas: 2 };
    const names = { fingerprint: 'a'.repeat(64), model: 'm' };
    const onOutlawed = (why: string) => expect.unreachable(why);
    const joining = joinFleet({ transport: process(secret), clock, log, config, ...names, onOutlawed });
    await passTime(clock, joining);
  };
  const announces = (secret: string) => {
    const { bus } = process(secret);
    return clock.every(1_000, () => bus.publish(fleetSubjects('fleet').coordinator, new Uint8Array(1)));
  };
  const check = async (secret: string) => {
    const checked = checkSecret({ transport: process(secret), clock, log, namespace: 'fleet' });
    await passTime(clock, checked);
    await checked;
  };
  return { clock, opening, lines, found, announces, check };
}

test('a process with the secret of the fleet passes at once', async () => {
  const { clock, found, announces, check } = world();
  await found(SECRET);
  announces(SECRET);
  const atMs = clock.now();
  await check(SECRET);
  expect(clock.now()).toBe(atMs);
});

test('a process with another secret than that of a living fleet is refused in the words for its other members', async () => {
  const { found, announces, check } = world();
  await found(SECRET);
  announces(SECRET);
  await expect(check(OLD_SECRET)).rejects.toThrow(Refused);
  await expect(check(OLD_SECRET)).rejects.toThrow(/written with another cluster secret .*SHOAL_SECRET/);
});

test('a charter that nobody lives under, or that members put back, refuses nobody', async () => {
  const { found, announces, check } = world();
  await found(OLD_SECRET);
  await check(SECRET);
  const strangers = announces(OLD_SECRET);
  announces(SECRET);
  await check(SECRET);
  strangers.cancel();
  await check(SECRET);
});

test('without a charter, or a bucket that it can read, every secret passes', async () => {
  const { clock, opening, lines, announces, check } = world();
  announces(SECRET);
  const atMs = clock.now();
  await check(OLD_SECRET);
  expect(lines).toEqual([]);
  opening.openKeyValue = async () => {
    throw new Unavailable('no store');
  };
  await check(OLD_SECRET);
  expect(lines).toEqual([expect.stringMatching(/^cannot compare the secret .* "shoal nats-users" prints$/)]);
  expect(clock.now()).toBe(atMs);
});
