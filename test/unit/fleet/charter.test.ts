import { describe, expect, test } from 'vitest';
import type { KeyValue } from '../../../src/bus/key-value.js';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { MemoryKeyValue } from '../../../src/bus/memory-key-value.js';
import { SimulatedClock, settled } from '../../../src/clock.js';
import { Refused, Unavailable } from '../../../src/errors.js';
import { type Alive, type Charter, type JoinOptions, joinCharter, readCharter } from '../../../src/fleet/charter.js';
import { CharterKeeper } from '../../../src/fleet/charter-keeper.js';
import { anybodyAlive, LISTEN_FOR_MEMBERS_MS } from '../../../src/fleet/joining.js';
import { fleetSubjects } from '../../../src/fleet/subjects.js';
import { ANNOUNCE_INTERVAL_MS } from '../../../src/limits.js';
import { SILENT_LOG } from '../../../src/log.js';
import { encode } from '../../../src/wire/msgpack.js';

const recall: Charter = {
  formatVersion: 3,
  blockTokens: 64,
  segmentBlocks: 8,
  fingerprint: 'a'.repeat(64),
  replicas: 2,
  model: 'recall',
};
const other: Charter = { ...recall, fingerprint: 'b'.repeat(64), model: 'other' };
const alive: JoinOptions = { anybodyAlive: async () => 'members' };
const strangers: JoinOptions = { anybodyAlive: async () => 'strangers' };
const dead: JoinOptions = { anybodyAlive: async () => 'nobody' };
/** For processes that have no reason to listen. */
const unasked = {
  anybodyAlive: async () => {
    throw new Error('listened without need');
  },
};

async function founded(charter: Charter): Promise<MemoryKeyValue> {
  const kv = new MemoryKeyValue();
  expect(await joinCharter(kv, charter, unasked)).toBe('founded');
  return kv;
}

/** A bucket with a concurrent writer: `meanwhile` runs once, before the first write. */
function disturbed(kv: KeyValue, meanwhile: () => Promise<unknown>): KeyValue {
  let due = true;
  const disturb = async () => {
    if (due) {
      due = false;
      await meanwhile();
    }
  };
  return {
    get: (key) => kv.get(key),
    create: async (key, value) => disturb().then(() => kv.create(key, value)),
    update: async (key, value, revision) => disturb().then(() => kv.update(key, value, revision)),
    delete: (key) => kv.delete(key),
  };
}

describe('the charter', () => {
  test('is founded by the first process and joined by fitting ones, without listening', async () => {
    const kv = await founded(recall);
    expect(await joinCharter(kv, recall, unasked)).toBe('joined');
    expect(await joinCharter(kv, { ...recall, model: 'the same by another name' }, unasked)).toBe('joined');
  });

  test('refuses another model while a member is alive, with both values and a remedy', async () => {
    const kv = await founded(recall);
    const outcome = joinCharter(kv, other, alive);
    await expect(outcome).rejects.toThrow(Refused);
    await expect(outcome).rejects.toThrow(
      `fingerprint is ${recall.fingerprint} there, ${other.fingerprint} here; the model is recall there, other here`,
    );
    await expect(outcome).rejects.toThrow(/--model.*--namespace/);
    expect(await joinCharter(kv, recall, unasked)).toBe('joined');
  });

  test.each([
    ['blockTokens', 128],
    ['segmentBlocks', 4],
    ['replicas', 3],
    ['formatVersion', 2],
  ] as const)('refuses another %s', async (field, value) => {
    const outcome = joinCharter(await founded(recall), { ...recall, [field]: value }, alive);
    await expect(outcome).rejects.toThrow(`${field} is ${recall[field]} there, ${value} here`);
  });

  test('names all differing fields', async () => {
    const outcome = joinCharter(await founded(recall), { ...other, replicas: 3 }, alive);
    await expect(outcome).rejects.toThrow(/fingerprint is .*replicas is 2 there, 3 here/);
  });

  test('recognizes a charter of a later version, whatever its other fields', async () => {
    const kv = new MemoryKeyValue();
    await kv.create('charter', encode({ formatVersion: 7, quorum: 'all' }));
    await expect(joinCharter(kv, recall, alive)).rejects.toThrow('formatVersion is 7 there, 3 here');
    expect(await joinCharter(kv, recall, dead)).toBe('replaced');
  });

  test('fits no process if it is unreadable', async () => {
    const kv = new MemoryKeyValue();
    await kv.create('charter', Uint8Array.of(0xc1));
    await expect(joinCharter(kv, recall, strangers)).rejects.toThrow(
      /another cluster secret or another release.*SHOAL_SECRET/,
    );
    expect(await joinCharter(kv, recall, dead)).toBe('replaced');
    expect(await joinCharter(kv, recall, unasked)).toBe('joined');
  });

  test('is replaced if only strangers are heard, who cannot live under it', async () => {
    const kv = await founded(recall);
    expect(await joinCharter(kv, other, strangers)).toBe('replaced');
  });

  test('is not replaced while it is unknown who lives', async () => {
    const kv = await founded(recall);
    await expect(joinCharter(kv, other, { anybodyAlive: async () => 'unknown' })).rejects.toThrow(Refused);
  });

  test('that was overwritten by a process without the secret is restored by the live members', async () => {
    const kv = new MemoryKeyValue();
    await kv.create('charter', Uint8Array.of(0xc1));
    expect(await joinCharter(kv, recall, alive)).toBe('restored');
  });

  test('is replaced if no member is alive', async () => {
    const kv = await founded(recall);
    expect(await joinCharter(kv, other, dead)).toBe('replaced');
    expect(await joinCharter(kv, other, unasked)).toBe('joined');
    await expect(joinCharter(kv, recall, alive)).rejects.toThrow(Refused);
  });

  test('is founded or replaced once by eight processes that start together, half of them with another model', async () => {
    const all = async (kv: KeyValue, options: JoinOptions, charters: readonly Charter[]) =>
      (await Promise.all(charters.map((charter) => joinCharter(kv, charter, options).catch(String)))).toSorted();
    const eight = Array.from({ length: 8 }, (_, i) => ({ ...recall, model: `name ${i}` }));
    const kv = new MemoryKeyValue();
    expect(await all(kv, unasked, eight)).toEqual(['founded', ...Array(7).fill('joined')]);

    const anew = eight.map((charter) => ({ ...charter, fingerprint: other.fingerprint }));
    expect(await all(kv, dead, anew)).toEqual([...Array(7).fill('joined'), 'replaced']);

    const mixed = eight.map((charter, i) => (i % 2 === 0 ? charter : anew[i]!));
    const outcomes = await all(new MemoryKeyValue(), alive, mixed);
    expect(outcomes.slice(0, 4)).toEqual(Array(4).fill(expect.stringContaining('Refused')));
    expect(outcomes.slice(4)).toEqual(['founded', 'joined', 'joined', 'joined']);
  });

  test('refuses a process that lost the race to found it to one with another model', async () => {
    const kv = new MemoryKeyValue();
    const late = disturbed(kv, () => joinCharter(kv, recall, unasked));
    await expect(joinCharter(late, other, alive)).rejects.toThrow(Refused);
  });

  test('is not replaced if a process that cannot be heard yet joins it in the meantime', async () => {
    const kv = await founded(recall);
    let times = 0;
    const joinedMeanwhile = async () => {
      if (++times > 1) return 'members' as const;
      await joinCharter(kv, recall, unasked);
      return 'nobody' as const;
    };
    await expect(joinCharter(kv, other, { anybodyAlive: joinedMeanwhile })).rejects.toThrow(Refused);
    expect(times).toBe(2);
  });

  test('accepts a process that hears the first members of the fleet that has just replaced the old one', async () => {
    const kv = await founded(recall);
    const replacedMeanwhile = async () => {
      expect(await joinCharter(kv, other, dead)).toBe('replaced');
      return 'members' as const;
    };
    expect(await joinCharter(kv, other, { anybodyAlive: replacedMeanwhile })).toBe('joined');
  });
});

describe('a keeper of the charter', () => {
  const stage = async (charter = recall) => {
    const kv = await founded(charter);
    const clock = new SimulatedClock();
    const keeper = new CharterKeeper(kv, (await readCharter(kv))!, clock, SILENT_LOG);
    keeper.start();
    return { kv, clock, keeper };
  };

  test('restores a charter that NATS lost, that cannot be read, or that is older', async () => {
    const { kv, clock, keeper } = await stage();
    await kv.delete('charter');
    await clock.advance(5_000);
    expect(await readCharter(kv)).toMatchObject({ ...recall, generation: 1 });
    await kv.update('charter', Uint8Array.of(0xc1), (await kv.get('charter'))!.revision);
    await clock.advance(5_000);
    expect(await readCharter(kv)).toMatchObject(recall);
    keeper.stop();
    const old = await kv.get('charter');
    expect(await joinCharter(kv, other, dead)).toBe('replaced');
    const second = new CharterKeeper(kv, (await readCharter(kv))!, clock, SILENT_LOG);
    await kv.update('charter', old!.value, (await kv.get('charter'))!.revision);
    await second.check();
    expect(await readCharter(kv)).toMatchObject({ ...other, generation: 2 });
  });

  test('leaves a charter of a later generation, and one that is its own', async () => {
    const { kv, clock, keeper } = await stage();
    const { revision } = (await kv.get('charter'))!;
    await clock.advance(20_000);
    expect((await kv.get('charter'))!.revision).toBe(revision);
    expect(await joinCharter(kv, other, dead)).toBe('replaced');
    await clock.advance(20_000);
    expect(await readCharter(kv)).toMatchObject(other);
    keeper.stop();
    expect(clock.nextAtMs()).toBeNull();
  });

  test('tries again if NATS is lost', async () => {
    const { kv, clock, keeper } = await stage();
    const get = kv.get.bind(kv);
    kv.get = () => Promise.reject(new Unavailable('NATS is lost'));
    await clock.advance(10_000);
    kv.get = get;
    await kv.delete('charter');
    await clock.advance(5_000);
    expect(await readCharter(kv)).toMatchObject(recall);
    keeper.stop();
  });
});

describe('listening for members', () => {
  const subjects = fleetSubjects('fleet');
  const nothing = new Uint8Array();
  const stage = () => {
    const broker = new MemoryBroker();
    const clock = new SimulatedClock();
    const [bus, member] = [broker.connect('bus'), broker.connect('member')] as const;
    let heard: Alive | null = null;
    let foreign = 0;
    const transport = { bus, openKeyValue: async () => new MemoryKeyValue(), strangerMessages: () => foreign };
    const listened = anybodyAlive(transport, clock, subjects).then((alive) => {
      heard = alive;
    });
    return { transport, bus, member, clock, listened, heard: () => heard, meetStranger: () => void foreign++ };
  };

  test('gives up only after two announcements were due, and leaves no timer behind', async () => {
    const { clock, heard } = stage();
    await clock.advance(2 * ANNOUNCE_INTERVAL_MS);
    expect(heard()).toBeNull();
    await clock.advance(LISTEN_FOR_MEMBERS_MS - 2 * ANNOUNCE_INTERVAL_MS);
    expect(heard()).toBe('nobody');
    expect(clock.nextAtMs()).toBeNull();
  });

  test('asks workers to announce themselves, so that it hears one at once', async () => {
    const { member, clock, listened, heard } = stage();
    member.subscribe(subjects.hello, () => member.publish(subjects.announce, nothing));
    await listened;
    expect(heard()).toBe('members');
    expect(clock.nextAtMs()).toBeNull();
  });

  test('hears a coordinator', async () => {
    const { member, listened, heard } = stage();
    member.publish(subjects.coordinator, nothing);
    await listened;
    expect(heard()).toBe('members');
  });

  test('tells strangers from nobody, and hears members among them', async () => {
    const { clock, heard, meetStranger } = stage();
    meetStranger();
    await clock.advance(LISTEN_FOR_MEMBERS_MS);
    expect(heard()).toBe('strangers');
  });

  test('does not know if the bus is lost', async () => {
    const { transport, bus, heard } = stage();
    bus.lose();
    await settled();
    expect(heard()).toBe('unknown');
    expect(await anybodyAlive(transport, new SimulatedClock(), subjects)).toBe('unknown');
  });
});
