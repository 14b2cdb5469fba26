import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Cancelled, DeadlineExceeded, Unavailable } from '../../../src/errors.js';
import { ActorDied, type ActorHandle } from '../../../src/index.js';
import { createLog } from '../../../src/log.js';
import type { ActorRecords } from '../../../src/runtime/detached/actor-records.js';
import { InstanceProtocol, instanceActor } from '../../../src/runtime/messages.js';
import { Counter } from './code.js';
import { type Member, RuntimeWorld, until } from './world.js';

let world: RuntimeWorld;
let a: Member;
let driver: Member;

beforeEach(async () => {
  world = await RuntimeWorld.make();
  a = await world.node('a');
  await world.node('b');
  driver = await world.driver();
});

afterEach(() => world.close());

const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    (error: unknown) => error,
  );

const onA = { lifetime: 'detached', near: { node: 'a' } } as const;

describe('a detached actor', () => {
  it('outlives the process that created it, under its name', async () => {
    const counter = await driver.fleet.actor(Counter, { ...onA, name: 'till', args: [5] });
    expect(await counter.add(1)).toBe(6);
    expect(await rejection(driver.fleet.actor(Counter, { ...onA, name: 'till' }))).toHaveProperty('param', 'name');
    await driver.stop();
    const other = await world.driver('other');
    expect(await (await other.fleet.get<Counter>('till')).add(1)).toBe(7);
    const same = await other.fleet.actor(Counter, { ...onA, name: 'till', getIfExists: true });
    await same.$kill();
    expect(await rejection(same.add(1))).toBeInstanceOf(ActorDied);
    expect(await rejection(other.fleet.get('till'))).toHaveProperty('param', 'name');
  });

  it('is created again elsewhere when its node vanishes, and its handles find it', async () => {
    const counters = await Promise.all(
      Array.from({ length: 10 }, (_, i) => driver.fleet.actor(Counter, { ...onA, name: `c${i}`, args: [i] })),
    );
    expect(await counters[3]!.add(1)).toBe(4);
    await a.vanish();
    expect(await Promise.all(counters.map((counter) => counter.add(1)))).toEqual(counters.map((_, i) => i + 1));
    const listed = await driver.fleet.listActors();
    expect(listed.map(({ name }) => name).sort()).toEqual(counters.map((_, i) => `c${i}`));
    expect(new Set(listed.map(({ node, restarts }) => `${node} ${restarts}`))).toEqual(new Set(['b 1']));
  });

  it('is created again once a node has room for it, without being called', async () => {
    let unplaced = () => {};
    const isUnplaced = new Promise<void>((resolve) => {
      unplaced = resolve;
    });
    world.log = createLog({
      level: 'error',
      write: (line) => line.includes('cannot be created again yet') && unplaced(),
    });
    const large = await world.node('large', { resources: { cpu: 4, disk: 1 } });
    await world.node('small');
    await driver.fleet.actor(Counter, { lifetime: 'detached', name: 'one', resources: { disk: 1 } });
    await large.vanish();
    await isUnplaced;
    await until(driver.member, () => driver.member.directory.get(large.member.self.incarnation) === null);
    await world.node('larger', { resources: { cpu: 4, disk: 2 } });
    const isOn = async () => (await driver.fleet.listActors()).map(({ node, restarts }) => [node, restarts]);
    while ((await isOn()).length === 0) await driver.member.directory.news(100);
    expect(await isOn()).toEqual([['larger', 1]]);
  });

  it('is created again while another of its node waits for room', async () => {
    const both = await world.node('both', { resources: { cpu: 4, disk: 1, tape: 1 } });
    await world.node('full', { resources: { cpu: 4, disk: 1 } });
    const near = { node: 'both' };
    await driver.fleet.actor(Counter, { lifetime: 'detached', name: 'waits', near, resources: { disk: 1 } });
    await driver.fleet.actor(Counter, { lifetime: 'detached', name: 'goes', near, resources: { tape: 1 } });
    await driver.fleet.actor(Counter, { resources: { disk: 1 } });
    await both.vanish();
    await until(driver.member, () => driver.member.directory.get(both.member.self.incarnation) === null);
    await world.node('other', { resources: { cpu: 4, tape: 1 } });
    const again = async () => (await driver.fleet.listActors()).filter(({ restarts }) => restarts > 0);
    while ((await again()).length === 0) await driver.member.directory.news(100);
    expect(await again()).toMatchObject([{ name: 'goes', node: 'other' }]);
  });

  it('does not answer on a node that the store does not hear, and ends there once it is elsewhere', async () => {
    const counter: ActorHandle<Counter> = await driver.fleet.actor(Counter, { ...onA, name: 'one' });
    expect(await counter.add(1)).toBe(1);
    // The node keeps its connections, but its messages on the bus and its writes are lost.
    world.cutOff(a);
    // Called straight, it refuses as soon as others may take it over, while it is still a member for all.
    const instance = driver.member.actors.ref(InstanceProtocol, {
      ...a.member.self,
      actor: instanceActor(counter.$id),
    });
    const call = { method: 'me', args: { plain: [], tagged: false }, trace: { id: 'x', attempt: 0, chain: [] } };
    let refusal: unknown = null;
    while (refusal === null) refusal = await rejection(instance.ask('call', call));
    // The node has it no more, or lost it during the call; or the caller takes the node for gone.
    expect(refusal).toBeInstanceOf(Unavailable);
    const answers: number[] = [];
    while (answers.length < 2) {
      const answer = await counter.add(1).catch(() => null);
      if (answer !== null) answers.push(answer);
    }
    expect(answers).toEqual([1, 2]);
  });

  it('is taken over from a node that the bus does not reach, while the actors of a driver with a link to that node stay there', async () => {
    const owned = await driver.fleet.actor(Counter, { near: { node: 'a' } });
    const detached = await driver.fleet.actor(Counter, { ...onA, name: 'one' });
    expect([await owned.add(1), await detached.add(1)]).toEqual([1, 1]);
    world.cutOff(a);
    const { incarnation } = a.member.self;
    await until(driver.member, () => !driver.member.directory.hears(incarnation));
    expect(driver.member.directory.get(incarnation)).not.toBeNull();
    expect(await owned.add(1)).toBe(2);
    expect(await detached.add(1)).toBe(1);
    expect(await owned.add(1)).toBe(3);
  });

  describe('while the store is away', () => {
    let handle: ActorHandle<Counter>;
    let other: Member;
    /** Resolves after a number of reads that failed. */
    let reads: (count: number) => Promise<void>;

    beforeEach(async () => {
      await driver.fleet.actor(Counter, { ...onA, name: 'one', args: [5] });
      other = await world.driver('other');
      // A process that has not called it yet must ask the store where it is.
      handle = await other.fleet.get<Counter>('one');
      let failed = () => {};
      world.beforeRead = async () => {
        failed();
        throw new Unavailable('NATS is not connected');
      };
      reads = (count) =>
        new Promise((resolve) => {
          failed = () => --count <= 0 && resolve();
        });
    });

    it('is waited for', async () => {
      const added = handle.add(1);
      const failure = rejection(added);
      await reads(5);
      world.beforeRead = async () => undefined;
      expect(await failure).toBeNull();
      expect(await added).toBe(6);
    });

    it('is not waited for beyond the deadline of a call, nor after the program has closed the fleet', async () => {
      expect(await rejection(handle.$with({ timeoutMs: 60 }).add(1))).toBeInstanceOf(DeadlineExceeded);
      const failure = rejection(handle.add(1));
      await reads(2);
      await other.fleet.close();
      expect(await failure).toBeInstanceOf(Cancelled);
    });
  });

  it('is fenced by its record: of two nodes that would adopt it, one does', async () => {
    await driver.fleet.actor(Counter, { ...onA, name: 'one' });
    const records: ActorRecords = driver.fleet.records;
    const name = { namespace: 'default', name: 'one' };
    const before = (await records.named(name))!;
    const detached = before.record.detached!;
    expect(detached.node.node).toBe('a');
    const next = { ...before.record, detached: { ...detached, epoch: 1 } };
    expect(await records.setName(name, next, before)).toBe(true);
    expect(await records.setName(name, next, before)).toBe(false);
  });
});
