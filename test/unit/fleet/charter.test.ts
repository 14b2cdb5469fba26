import { describe, expect, test } from 'vitest';
import type { KeyValue } from '../../../src/bus/key-value.js';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { MemoryKeyValue } from '../../../src/bus/memory-key-value.js';
import { type Clock, SimulatedClock, settled } from '../../../src/clock.js';
import { Refused } from '../../../src/errors.js';
import { anybodyAlive } from '../../../src/fleet/anybody-alive.js';
import {
  type Alive,
  type Charter,
  type Joined,
  type JoinOptions,
  joinCharter as joinAs,
  PROVISIONAL_MS,
  readCharter,
  type StoredCharter,
} from '../../../src/fleet/charter.js';
import { CharterKeeper } from '../../../src/fleet/charter-keeper.js';
import { fleetSubjects } from '../../../src/fleet/subjects.js';
import { ANNOUNCE_INTERVAL_MS } from '../../../src/limits.js';
import { SILENT_LOG } from '../../../src/log.js';
import { SeededRandom } from '../../../src/random.js';
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
/** Time that passes as soon as somebody waits for it. */
const clock: Clock = {
  now: () => waitedMs,
  after: (delayMs, fn) => {
    queueMicrotask(() => {
      waitedMs += delayMs;
      fn();
    });
    return { cancel: () => undefined };
  },
  every: () => ({ cancel: () => undefined }),
};
let waitedMs = 0;
const hearing = (heard: Alive): JoinOptions => ({ clock, anybodyAlive: async () => heard });
const [alive, strangers, dead] = [hearing('members'), hearing('strangers'), hearing('nobody')];
/** For processes that have no reason to listen. */
const unasked: JoinOptions = {
  clock,
  anybodyAlive: async () => {
    throw new Error('listened without need');
  },
};

async function joinCharter(kv: KeyValue, charter: Charter, options: JoinOptions): Promise<string> {
  return (await joinAs(kv, charter, options)).how;
}

async function founded(charter: Charter): Promise<MemoryKeyValue> {
  const kv = new MemoryKeyValue();
  expect(await joinCharter(kv, charter, dead)).toBe('founded');
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
  test('is founded by the first process, which hears no member, and joined by matching ones, which do not wait to hear', async () => {
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

  test('is replaced if only members that do not fit it are heard', async () => {
    const kv = await founded(recall);
    expect(await joinCharter(kv, other, strangers)).toBe('replaced');
  });

  test('is not replaced while it is unknown whether members live', async () => {
    const kv = await founded(recall);
    await expect(joinCharter(kv, other, hearing('unknown'))).rejects.toThrow(Refused);
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
    expect(await all(kv, dead, eight)).toEqual(['founded', ...Array(7).fill('joined')]);

    const anew = eight.map((charter) => ({ ...charter, fingerprint: other.fingerprint }));
    expect(await all(kv, dead, anew)).toEqual([...Array(7).fill('joined'), 'replaced']);

    const mixed = eight.map((charter, i) => (i % 2 === 0 ? charter : anew[i]!));
    const outcomes = await all(new MemoryKeyValue(), alive, mixed);
    expect(outcomes.slice(0, 4)).toEqual(Array(4).fill(expect.stringContaining('Refused')));
    expect(outcomes.slice(4)).toEqual(['founded', 'joined', 'joined', 'joined']);
  });

  test('refuses a process that lost the race to found it to one with another model', async () => {
    const kv = new MemoryKeyValue();
    const late = disturbed(kv, () => joinCharter(kv, recall, dead));
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
    await expect(joinCharter(kv, other, { clock, anybodyAlive: joinedMeanwhile })).rejects.toThrow(Refused);
    expect(times).toBe(2);
  });

  test('accepts a process that hears the first members of the fleet that has just replaced the old one', async () => {
    const kv = await founded(recall);
    const replacedMeanwhile = async () => {
      expect(await joinCharter(kv, other, dead)).toBe('replaced');
      return 'members' as const;
    };
    expect(await joinCharter(kv, other, { clock, anybodyAlive: replacedMeanwhile })).toBe('joined');
  });
});

describe('a charter that NATS lost', () => {
  /** The keeper of a member of a fleet that stands: its charter is proven. */
  const member = async (charter = recall) => {
    const kv = await founded(charter);
    const keeper = await keeperOf(kv);
    await keeper.stand();
    return { kv, ...keeper };
  };

  /** A keeper of the charter that is stored now. `stand` has its process run for as long as charters are provisional. */
  async function keeperOf(kv: KeyValue, how: Joined['how'] = 'joined') {
    const own = new SimulatedClock();
    const outlawed: string[] = [];
    const said: StoredCharter[] = [];
    const charter = (await readCharter(kv))!;
    const say = (spoken: StoredCharter) => void said.push(spoken);
    const onOutlawed = (why: string) => void outlawed.push(why);
    const keeper = new CharterKeeper({ how, charter }, { kv, clock: own, log: SILENT_LOG, say, onOutlawed });
    const stand = async () => {
      await own.advance(PROVISIONAL_MS);
      await keeper.check();
    };
    return { keeper, stand, outlawed, said };
  }

  test('proves that a process has the secret if another one has sealed it, and it stands', async () => {
    const kv = await founded(recall);
    const [founder, second] = [await keeperOf(kv, 'founded'), await keeperOf(kv)];
    for (const { keeper } of [founder, second]) await keeper.check();
    expect([founder, second].map(({ keeper }) => keeper.provesSecret)).toEqual([false, false]);
    await founder.stand();
    for (const { keeper } of [founder, second]) await keeper.check();
    expect([founder, second].map(({ keeper }) => keeper.provesSecret)).toEqual([false, true]);
    expect((await keeperOf(kv)).keeper.provesSecret).toBe(true);
    for (const how of ['founded', 'replaced', 'restored'] as const) {
      const { keeper } = await keeperOf(kv, how);
      expect(keeper.provesSecret).toBe(how === 'restored');
    }
  });

  test('or that cannot be read, or is older, is put back by a member', async () => {
    const { kv, keeper, said } = await member();
    expect(await readCharter(kv)).toEqual({ ...recall, generation: 2 });
    kv.clear();
    await keeper.check();
    expect(await readCharter(kv)).toEqual({ ...recall, generation: 2 });
    await kv.update('charter', Uint8Array.of(0xc1), (await kv.get('charter'))!.revision);
    await keeper.check();
    expect(await readCharter(kv)).toMatchObject(recall);
    const old = await kv.get('charter');
    expect(await joinCharter(kv, other, dead)).toBe('replaced');
    const second = await keeperOf(kv);
    await kv.update('charter', old!.value, (await kv.get('charter'))!.revision);
    await second.keeper.check();
    expect(await readCharter(kv)).toEqual({ ...other, generation: 3 });
    expect([said.length, second.said.length]).toEqual([2, 1]);
  });

  test('is left alone if it is the own one, or if members live under a later one', async () => {
    const { kv, keeper, stand, outlawed, said } = await member();
    const { revision } = (await kv.get('charter'))!;
    await keeper.check();
    expect((await kv.get('charter'))!.revision).toBe(revision);
    expect(await joinCharter(kv, other, dead)).toBe('replaced');
    const successor = await keeperOf(kv);
    await successor.keeper.check();
    await keeper.check();
    successor.keeper.heard(said[0]!);
    keeper.heard(successor.said[0]!);
    await stand();
    expect(await readCharter(kv)).toMatchObject(other);
    expect([outlawed, said.length, successor.said.length]).toEqual([[], 1, 1]);
  });

  test('is waited for by newcomers that hear members', async () => {
    const { kv, keeper } = await member();
    kv.clear();
    let asked = 0;
    const anybodyAlive = async () => {
      if (++asked === 3) await keeper.check();
      return 'members' as const;
    };
    await expect(joinCharter(kv, other, { clock, anybodyAlive })).rejects.toThrow(Refused);
    kv.clear();
    asked = 0;
    expect(await joinCharter(kv, recall, { clock, anybodyAlive })).toBe('joined');
  });

  test('replaces one that a newcomer founded; the newcomer exits, and a matching process waits to join', async () => {
    const { kv, keeper, outlawed, said } = await member();
    kv.clear();
    expect(await joinCharter(kv, other, dead)).toBe('founded');
    const newcomer = await keeperOf(kv);
    const joined = joinCharter(kv, recall, alive);
    await keeper.check();
    expect(await joined).toBe('joined');
    newcomer.keeper.heard(said[0]!);
    await newcomer.keeper.check();
    expect(newcomer.outlawed).toEqual([
      expect.stringContaining(`fingerprint is ${recall.fingerprint} there, ${other.fingerprint} here`),
    ]);
    await keeper.check();
    expect(await readCharter(kv)).toEqual({ ...recall, generation: 2 });
    expect(outlawed).toEqual([]);
  });

  test('is put back by members whose charter was not proven in NATS before the loss', async () => {
    const kv = await founded(recall);
    const { keeper, stand, outlawed } = await keeperOf(kv);
    await stand();
    kv.clear();
    await joinCharter(kv, other, dead);
    await keeper.check();
    expect(await readCharter(kv)).toEqual({ ...recall, generation: 2 });
    expect(outlawed).toEqual([]);
  });

  test('gives way to nobody’s word but that of a member: a stored charter of an earlier fleet ends no process, and is replaced', async () => {
    const earlier = encode({ ...other, generation: 7 });
    for (const standing of [true, false]) {
      const kv = await founded(recall);
      const { keeper, stand, outlawed, said } = await keeperOf(kv);
      if (standing) await stand();
      const put = async () => kv.update('charter', earlier, (await kv.get('charter'))!.revision);
      await put();
      await keeper.check();
      expect(await readCharter(kv)).toMatchObject(other);
      expect(said).toHaveLength(1);
      await stand();
      expect(await readCharter(kv)).toEqual({ ...recall, generation: 8 });
      await put();
      await keeper.check();
      expect(await readCharter(kv)).toEqual({ ...recall, generation: 8 });
      expect(outlawed).toEqual([]);
    }
  });

  test('is as it was after any race of members and newcomers: the right ones are in, the wrong ones out', async () => {
    for (let seed = 0; seed < 100; seed++) {
      const race = new Race(seed);
      const members = [race.member(), race.member()];
      const newcomers = Array.from({ length: 6 }, (_, i) => race.newcomer(i % 2 === 0 ? recall : other));
      await race.run(20_000);
      const states = [...members, ...newcomers].map(({ state }) => state);
      expect({ seed, states }).toEqual({ seed, states: ['in', 'in', 'in', 'out', 'in', 'out', 'in', 'out'] });
      expect(await readCharter(race.kv)).toMatchObject({ ...recall, generation: 2 });
    }
  });
});

interface Runner {
  state: 'starting' | 'in' | 'out';
}

/** Members and newcomers of a fleet whose NATS was just started with an empty store, in virtual time. */
class Race {
  readonly kv = new MemoryKeyValue();
  private readonly clock = new SimulatedClock();
  private readonly random: SeededRandom;
  private readonly heard = new Set<Runner>();
  private readonly checks = new Set<(said?: StoredCharter) => void>();

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  /** A member that will be connected again some time later. */
  member(): Runner {
    const member: Runner = { state: 'in' };
    this.clock.after(this.random.below(2_500), () => this.live(member, { ...recall, generation: 2 }));
    return member;
  }

  /** A process that starts some time later. */
  newcomer(charter: Charter): Runner {
    const newcomer: Runner = { state: 'starting' };
    const start = async () => {
      const anybodyAlive = (timeMs: number) => this.anybodyAlive(timeMs);
      try {
        const joined = await joinAs(this.slowKv(), charter, { clock: this.clock, anybodyAlive });
        newcomer.state = 'in';
        this.live(newcomer, joined.charter);
      } catch (error) {
        expect(error).toBeInstanceOf(Refused);
        newcomer.state = 'out';
      }
    };
    this.clock.after(this.random.below(4_000), () => void start());
    return newcomer;
  }

  async run(timeMs: number): Promise<void> {
    for (let elapsedMs = 0; elapsedMs < timeMs; elapsedMs += 10) await this.clock.advance(10);
  }

  private live(runner: Runner, charter: StoredCharter): void {
    this.heard.add(runner);
    const leave = () => {
      runner.state = 'out';
      this.heard.delete(runner);
      this.checks.delete(check);
      ticking.cancel();
    };
    const say = (said: StoredCharter) => {
      for (const look of this.checks) if (look !== check) look(said);
    };
    const ports = { kv: this.slowKv(), clock: this.clock, log: SILENT_LOG, say, onOutlawed: leave };
    const keeper = new CharterKeeper({ how: 'joined', charter }, ports);
    const check = (said?: StoredCharter) => {
      if (said) keeper.heard(said);
      void keeper.check();
    };
    this.checks.add(check);
    const ticking = this.clock.every(5_000, () => check());
    check();
  }

  private async anybodyAlive(timeMs: number): Promise<Alive> {
    const untilMs = this.clock.now() + timeMs;
    do {
      if (this.heard.size > 0) return 'members';
      await this.pause(10);
    } while (this.clock.now() < untilMs);
    return 'nobody';
  }

  /** The bucket, as far as a process sees it over a network. */
  private slowKv(): KeyValue {
    const slow = async <T>(act: () => Promise<T>): Promise<T> => {
      await this.pause(this.random.below(40));
      const result = await act();
      await this.pause(this.random.below(40));
      return result;
    };
    const { kv } = this;
    return {
      get: (key) => slow(() => kv.get(key)),
      create: (key, value) => slow(() => kv.create(key, value)),
      update: (key, value, revision) => slow(() => kv.update(key, value, revision)),
      delete: (key) => slow(() => kv.delete(key)),
    };
  }

  private pause(timeMs: number): Promise<void> {
    return new Promise((resolve) => this.clock.after(timeMs, resolve));
  }
}

describe('listening for members', () => {
  const LISTEN_MS = 1_000;
  const subjects = fleetSubjects('fleet');
  const heardOn = { said: [subjects.announce, subjects.coordinator], ask: subjects.hello };
  const nothing = new Uint8Array();
  const stage = () => {
    const broker = new MemoryBroker();
    const clock = new SimulatedClock();
    const [bus, member] = [broker.connect('bus'), broker.connect('member')] as const;
    let heard: Alive | null = null;
    let foreign = 0;
    const transport = { bus, openKeyValue: async () => new MemoryKeyValue(), strangerMessages: () => foreign };
    const listened = anybodyAlive(transport, clock, heardOn, LISTEN_MS).then((alive) => {
      heard = alive;
    });
    return { transport, bus, member, clock, listened, heard: () => heard, meetStranger: () => void foreign++ };
  };

  test('gives up only after two announcements were due, and leaves no timer behind', async () => {
    const { clock, heard } = stage();
    await clock.advance(2 * ANNOUNCE_INTERVAL_MS);
    expect(heard()).toBeNull();
    await clock.advance(LISTEN_MS - 2 * ANNOUNCE_INTERVAL_MS);
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

  test('distinguishes strangers from silence, and hears members among strangers', async () => {
    const { clock, heard, meetStranger } = stage();
    meetStranger();
    await clock.advance(LISTEN_MS);
    expect(heard()).toBe('strangers');
  });

  test('does not know if the bus is lost', async () => {
    const { transport, bus, heard } = stage();
    bus.lose();
    await settled();
    expect(heard()).toBe('unknown');
    expect(await anybodyAlive(transport, new SimulatedClock(), heardOn, LISTEN_MS)).toBe('unknown');
  });
});
