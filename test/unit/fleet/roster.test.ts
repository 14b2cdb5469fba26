import { afterEach, describe, expect, it } from 'vitest';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { SimulatedClock } from '../../../src/clock.js';
import type { Announcement } from '../../../src/core/member.js';
import type { MembershipEffect } from '../../../src/core/membership-events.js';
import { Overloaded } from '../../../src/errors.js';
import { Roster } from '../../../src/fleet/roster.js';
import { fleetSubjects } from '../../../src/fleet/subjects.js';
import { FLEET_WORKERS } from '../../../src/limits.js';
import { RefusalMessage } from '../../../src/protocol/announcement.js';
import { encode } from '../../../src/wire/msgpack.js';
import { readMessage } from '../../../src/wire/read-message.js';
import { announcement, FINGERPRINT } from '../../support/announcement.js';

const subjects = fleetSubjects('fleet');

class World {
  readonly clock = new SimulatedClock(1_000_000);
  readonly broker = new MemoryBroker();
  readonly out = this.broker.connect('outside');
  readonly rosters: Roster[] = [];
  probe: (id: string) => Promise<void> = async () => {
    throw new Error('not reached');
  };

  /** The roster of a worker, or of a coordinator if `worker` is null. */
  roster(
    worker: string | null,
    name = worker ?? 'coordinator',
    process: { incarnation?: string; generation?: number } = {},
  ) {
    const generation = worker === null ? null : (process.generation ?? 0);
    const self = { id: name, incarnation: process.incarnation ?? '0001', generation };
    const bus = this.broker.connect(name);
    const effects: MembershipEffect[] = [];
    const { clock } = this;
    const probe = ({ id }: { id: string }) => this.probe(id);
    const roster = new Roster({ bus, clock, subjects, fingerprint: FINGERPRINT, self, probe });
    roster.listen((effect) => effects.push(effect));
    roster.start();
    this.rosters.push(roster);
    return { bus, roster, effects, types: () => effects.map(({ type }) => type) };
  }

  announce(id: string, over: Partial<Announcement> = {}): void {
    this.out.publish(subjects.announce, encode(announcement(id, over)));
  }

  /** Advances time, during which these workers announce themselves. */
  async pass(ms: number, ids: readonly string[] = []): Promise<void> {
    for (let passed = 0; passed < ms; passed += 200) {
      for (const id of ids) this.announce(id);
      await this.clock.advance(200);
    }
  }
}

describe('a roster', () => {
  let world = new World();
  afterEach(() => {
    for (const roster of world.rosters) roster.stop();
    expect(world.clock.nextAtMs()).toBeNull();
    world = new World();
  });

  it('knows the incarnations of its members, living and dead', async () => {
    const { roster } = world.roster(null);
    await world.pass(400, ['a', 'b', 'c']);
    await world.pass(4_000, ['b', 'c']);
    expect(roster.alive('a')).toBeNull();
    expect([roster.knows('a', '0001'), roster.knows('a', '0002'), roster.knows('d', '0001')]).toEqual([
      ...[true, false, false],
    ]);
    world.out.publish(subjects.leave, encode({ id: 'b', incarnation: '0001' }));
    await world.pass(200);
    expect(roster.knows('b', '0001')).toBe(false);
  });

  it('asks workers to announce themselves, and lists those that answer', async () => {
    let hellos = 0;
    world.out.subscribe(subjects.hello, () => {
      hellos++;
      world.announce('a');
    });
    const { roster } = world.roster(null);
    await world.pass(200);
    expect(hellos).toBe(1);
    expect(roster.alive('a')?.incarnation).toBe('0001');
    expect(roster.members().map(({ id, state }) => [id, state])).toEqual([['a', 'serving']]);
    expect(roster.ring.homes('ab'.repeat(32), 2)).toEqual(['a']);
    expect(roster.ring.epoch).toBe(roster.epoch);
  });

  it('calls its listeners after it shows the new ring', async () => {
    const { roster } = world.roster(null);
    const seen: string[] = [];
    roster.listen((effect) => {
      if (effect.type === 'changed')
        seen.push(`${roster.epoch === effect.view.epoch} ${roster.ring.epoch === roster.epoch}`);
    });
    world.announce('a');
    await world.pass(200);
    expect(seen).toEqual(['true true']);
  });

  it('shows the load of the last announcement', async () => {
    const { roster } = world.roster(null);
    world.announce('a', { running: 3 });
    await world.pass(200);
    world.announce('a', { running: 5 });
    await world.pass(200);
    expect(roster.members()[0]!.running).toBe(5);
  });

  it('lets a flood of workers join in batches, up to the limit, and refuses those beyond it by name', async () => {
    const { roster, effects } = world.roster(null);
    const flood = Array.from({ length: FLEET_WORKERS + 76 }, (_, i) => `forged-${i}`);
    for (const id of flood) world.announce(id);
    await world.clock.advance(1);
    // As few as in a small fleet join at once, and those beyond do not reach the ring one by one.
    expect(roster.members()).toHaveLength(32);
    await world.pass(1_000, flood);
    expect(roster.members()).toHaveLength(FLEET_WORKERS);
    expect(roster.ring.members).toHaveLength(FLEET_WORKERS);
    const changes = effects.filter(({ type }) => type === 'changed').length;
    expect(changes).toBeLessThan(32 + FLEET_WORKERS / 16);
    const refused = effects.find((effect) => effect.type === 'refused');
    expect(refused).toMatchObject({ reason: 'full', message: expect.stringContaining(`at most ${FLEET_WORKERS}`) });
  });

  it('takes back no worker that left while it waited to join', async () => {
    const { roster } = world.roster(null);
    for (let i = 0; i < 40; i++) world.announce(`w-${i}`);
    await world.clock.advance(1);
    expect(roster.alive('w-39')).toBeNull();
    world.out.publish(subjects.leave, encode({ id: 'w-39', incarnation: '0001' }));
    await world.pass(200);
    expect(roster.alive('w-38')).not.toBeNull();
    expect(roster.alive('w-39')).toBeNull();
  });

  it('declares silent workers dead, unless they answer a probe', async () => {
    const { roster, types } = world.roster(null);
    world.probe = async (id) => {
      if (id !== 'shy') throw new Error('not reached');
    };
    await world.pass(400, ['a', 'shy', 'b']);
    await world.pass(4_000, ['b']);
    expect(roster.alive('a')).toBeNull();
    expect(roster.alive('shy')).not.toBeNull();
    expect(roster.members().map(({ id, state }) => [id, state])).toEqual([
      ['a', 'dead'],
      ['b', 'serving'],
      ['shy', 'serving'],
    ]);
    expect(types().filter((type) => type === 'dead').length).toBe(1);
  });

  it('suspects a worker at once when its connection closes', async () => {
    const { roster, types } = world.roster(null);
    await world.pass(400, ['a']);
    roster.linkClosed('a', '0001');
    expect(types()).toContain('suspect');
    expect(roster.members()[0]!.state).toBe('suspect');
  });

  it('takes the loss of a whole fleet for few changes of its view, and the ring with it', async () => {
    const { roster, types } = world.roster(null);
    const fleet = Array.from({ length: 500 }, (_, i) => `w-${i}`);
    for (let i = 0; i < 10; i++) await world.pass(200, [...fleet, 'other']);
    expect(roster.ring.members).toHaveLength(501);
    const changes = () => types().filter((type) => type === 'changed').length;
    const before = changes();
    for (const id of fleet) roster.linkClosed(id, '0001');
    await world.clock.advance(20);
    expect(roster.members().filter(({ state }) => state === 'suspect')).toHaveLength(500);
    await world.pass(4_000, ['other']);
    expect(types().filter((type) => type === 'dead')).toHaveLength(500);
    expect(roster.ring.members).toEqual(['other']);
    expect(changes() - before).toBeLessThan(20);
  });

  it('keeps its view while its bus is lost', async () => {
    const { roster, bus } = world.roster(null);
    await world.pass(400, ['a']);
    bus.lose();
    await world.pass(10_000, ['a']);
    expect(roster.alive('a')).not.toBeNull();
    bus.restore();
    await world.pass(600, ['a']);
    expect(roster.members().map(({ state }) => state)).toEqual(['serving']);
  });

  it('tells a worker that it was declared dead, and takes it back after its refutation', async () => {
    const others = world.roster(null);
    const own = world.roster('a');
    own.roster.hear(announcement('a'));
    const told: unknown[] = [];
    world.out.subscribe(subjects.refusal, ({ payload }) => told.push(readMessage(RefusalMessage, payload)));
    await world.pass(400, ['a']);
    await world.pass(4_000);
    expect(others.roster.alive('a')).toBeNull();
    expect(own.roster.alive('a')).not.toBeNull();
    expect(told).toEqual([]);
    world.announce('a');
    await world.pass(200);
    const latest = { generation: 0, incarnation: '0001', refutation: 0 };
    expect(told).toEqual([{ id: 'a', incarnation: '0001', latest }]);
    expect(own.types()).not.toContain('dead');
    expect(own.effects).toContainEqual({ type: 'raised', id: 'a', ...latest, refutation: 1 });
    expect(own.roster.rank).toEqual({ ...latest, refutation: 1 });
    world.announce('a', own.roster.rank);
    await world.pass(200);
    expect(others.roster.alive('a')?.refutation).toBe(1);
    expect(others.types().filter((type) => type === 'joined').length).toBe(2);
  });

  it('does not end for refusals, however many members send them', async () => {
    const own = world.roster('a', 'a', { incarnation: '0002' });
    own.roster.hear(announcement('a', { incarnation: '0002' }));
    const rank = (incarnation: string, refutation = 0) => ({ generation: 0, incarnation, refutation });
    for (const [id, incarnation, latest] of [
      ['a', '0001', rank('0001')],
      ['b', '0002', rank('0002')],
      ['a', '0003', rank('0003')],
      ['a', '0002', rank('0001')],
      ['a', '0002', rank('0002', 7)],
    ] as const)
      world.out.publish(subjects.refusal, encode({ id, incarnation, latest }));
    world.out.publish(subjects.refusal, Uint8Array.of(0xc1));
    await world.pass(200);
    expect(own.roster.rank).toEqual(rank('0002'));
    for (let i = 0; i < 10; i++)
      world.out.publish(subjects.refusal, encode({ id: 'a', incarnation: '0002', latest: rank('0002') }));
    await world.pass(200);
    expect(own.roster.rank).toEqual(rank('0002', 1));
    expect(own.types()).not.toContain('dead');
    const coordinator = world.roster(null);
    world.announce('c');
    await world.pass(200);
    world.out.publish(subjects.refusal, encode({ id: 'c', incarnation: '0001', latest: rank('0001') }));
    await world.pass(200);
    expect(coordinator.types()).not.toContain('dead');
  });

  it('hears its own echo, and notices a dead bus before the bus reports it', async () => {
    const own = world.roster(null);
    await world.pass(400, ['a']);
    world.broker.sever('coordinator', 'coordinator');
    world.broker.sever('outside', 'coordinator');
    await world.pass(5_000, ['a']);
    expect(own.types()).toEqual(['joined', 'changed', 'hearing']);
    expect(own.effects.at(-1)).toEqual({ type: 'hearing', hears: false });
    world.broker.heal();
    await world.pass(2_000, ['a']);
    expect(own.effects.at(-1)).toEqual({ type: 'hearing', hears: true });
    expect(own.roster.members().map(({ state }) => state)).toEqual(['serving']);
  });

  it('refuses another model, names both fingerprints, and gives it no news', async () => {
    const { roster, effects } = world.roster(null);
    const told: unknown[] = [];
    world.out.subscribe(subjects.refusal, ({ payload }) => told.push(payload));
    world.announce('a', { fingerprint: 'e'.repeat(64) });
    world.announce('a', { fingerprint: 'e'.repeat(64) });
    await world.pass(200);
    expect(roster.members()).toEqual([]);
    expect(told).toEqual([]);
    const refused = effects.filter((effect) => effect.type === 'refused');
    expect(refused.map(({ first }) => first)).toEqual([true, false]);
    expect(refused[0]!.message).toContain('e'.repeat(64));
    expect(refused[0]!.message).toContain(FINGERPRINT);
  });

  it('reports to a worker that another one has its ID', async () => {
    const own = world.roster('a');
    own.roster.hear(announcement('a'));
    world.announce('a', { incarnation: '0002' });
    await world.pass(200);
    expect(own.effects).toContainEqual({ type: 'dead', id: 'a', incarnation: '0001', cause: 'fenced' });
  });

  it('forgets a worker that leaves in good order', async () => {
    const { roster, types } = world.roster(null);
    await world.pass(400, ['a']);
    world.out.publish(subjects.leave, encode({ id: 'a', incarnation: '0001' }));
    await world.pass(200);
    expect(roster.members()).toEqual([]);
    expect(types()).toContain('left');
  });

  it('ignores unreadable messages', async () => {
    const { roster } = world.roster(null);
    world.out.publish(subjects.announce, Uint8Array.of(0xc1, 2, 3));
    world.out.publish(subjects.announce, encode({ ...announcement('a'), blocks: -1 }));
    world.out.publish(subjects.announce, encode({ ...announcement('a'), more: 1 }));
    world.out.publish(subjects.leave, encode({ id: 7 }));
    await world.pass(200);
    expect(roster.members()).toEqual([]);
  });

  it('is silent once it is stopped', async () => {
    const { roster, bus, effects } = world.roster(null);
    let answer: () => void = () => {};
    world.probe = () => new Promise((resolve) => (answer = resolve));
    await world.pass(400, ['a']);
    await world.pass(1_800);
    expect(effects.at(-2)?.type).toBe('probe');
    roster.stop();
    const before = effects.length;
    bus.lose();
    bus.restore();
    world.announce('b');
    await world.pass(5_000);
    expect(effects.length).toBe(before);
    answer();
  });

  it('survives an overloaded bus', async () => {
    const own = world.roster(null);
    await world.pass(400, ['a']);
    await world.pass(4_000);
    own.bus.publish = () => {
      throw new Overloaded('too much waits');
    };
    world.announce('a');
    await world.pass(200);
    expect(own.types()).toContain('refused');
  });
});
