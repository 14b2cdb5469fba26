import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Deferred } from '../../../src/async/deferred.js';
import { DeadlineExceeded, InvalidRequest } from '../../../src/errors.js';
import { ActorDied } from '../../../src/index.js';
import { HOST_ACTOR, HostProtocol } from '../../../src/runtime/messages.js';
import { Counter, Holder, square } from './code.js';
import { type Member, RuntimeWorld, until } from './world.js';

let world: RuntimeWorld;
let b: Member;
let driver: Member;

beforeEach(async () => {
  world = await RuntimeWorld.make();
  await world.node('a', { resources: { cpu: 2 } });
  b = await world.node('b', { resources: { cpu: 2 } });
  driver = await world.driver();
});

afterEach(() => world.close());

const freeOf = (id: string) => driver.fleet.nodes().find((node) => node.id === id)?.free.cpu;
const rejection = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: unknown) => error,
  );

describe('a placement group', () => {
  it('reserves its bundles on the nodes of its strategy, for actors and tasks that name them', async () => {
    const group = await driver.fleet.group([{ cpu: 1 }, { cpu: 1 }], { strategy: 'strictSpread' });
    expect(new Set(group.bundles.map(({ node }) => node))).toEqual(new Set(['a', 'b']));
    await until(driver.member, () => freeOf('a') === 1 && freeOf('b') === 1);
    for (const bundle of group.bundles) {
      const counter = await driver.fleet.actor(Counter, { bundle, resources: { cpu: 1 } });
      const actors = await driver.fleet.listActors();
      expect(actors.find(({ id }) => id === counter.$id)?.node).toBe(bundle.node);
    }
    // The bundles are full; what is not reserved is free.
    const full = driver.fleet.task(square, { bundle: group.bundles[0]!, timeoutMs: 50 })(2);
    expect(await rejection(full)).toBeInstanceOf(DeadlineExceeded);
    expect(await driver.fleet.task(square)(2)).toBe(4);
    expect(await driver.fleet.listGroups()).toHaveLength(2);
    await group.remove();
    await group.remove();
    await until(driver.member, () => freeOf('a') === 2 && freeOf('b') === 2);
    expect(await driver.fleet.listActors()).toEqual([]);
    expect(await rejection(driver.fleet.task(square, { bundle: group.bundles[0]! })(2))).toBeInstanceOf(InvalidRequest);
  });

  it.each([
    ['a call', false, false],
    ['a stream', true, false],
    ['a call in a bundle', false, true],
  ])('is not given what an actor had that has ended, while %s of it still runs', async (_, isStream, isInGroup) => {
    Holder.entered = new Deferred();
    Holder.left = new Deferred();
    const group = isInGroup ? await driver.fleet.group([{ cpu: 2 }]) : null;
    const holder = await driver.fleet.actor(Holder, {
      resources: { cpu: 2 },
      ...(group && { bundle: group.bundles[0]! }),
    });
    const items = holder.holdAfterOne()[Symbol.asyncIterator]();
    if (isStream) await items.next();
    const running = rejection(isStream ? items.next() : holder.hold());
    await Holder.entered.promise;
    await (group ? group.remove() : holder.$kill());
    expect(await running).toBeInstanceOf(ActorDied);
    const both = [{ cpu: 2 }, { cpu: 2 }];
    expect(await rejection(driver.fleet.group(both, { timeoutMs: 50 }))).toBeInstanceOf(DeadlineExceeded);
    Holder.left.resolve();
    await (await driver.fleet.group(both)).remove();
  });

  it('takes all or nothing: of many that want everything, each has it for a time, and nothing stays reserved', async () => {
    const other = await world.driver('other');
    let open = 0;
    const use = async (fleet: Member['fleet']) => {
      const group = await fleet.group([{ cpu: 2 }, { cpu: 2 }], { strategy: 'strictSpread' });
      expect(++open).toBe(1);
      expect(await fleet.task(square, { bundle: group.bundles[1]! })(3)).toBe(9);
      open--;
      await group.remove();
    };
    await Promise.all([driver, other, driver, other].map(({ fleet }) => use(fleet)));
    await until(driver.member, () => freeOf('a') === 2 && freeOf('b') === 2);
    expect(await driver.fleet.listGroups()).toEqual([]);
  });

  it('holds nothing while one of its nodes has no room', async () => {
    const { self } = b.member;
    const host = driver.member.actors.ref(HostProtocol, { ...self, actor: HOST_ACTOR });
    await driver.member.linked(self);
    const { incarnation: owner } = driver.member.self;
    // The group is planned before the node has announced that it is full.
    const full = host.ask('reserve', { bundle: 'other', owner, resources: { cpu: 2 } });
    const group = driver.fleet.group([{ cpu: 2 }, { cpu: 2 }], { strategy: 'strictSpread' });
    expect(await full).toEqual({ reserved: true });
    await until(driver.member, () => freeOf('b') === 0 && freeOf('a') === 2);
    await host.ask('unreserve', { bundle: 'other' });
    expect((await group).bundles.map(({ node }) => node).sort()).toEqual(['a', 'b']);
  });

  it('waits for room until its time is over, and is refused where no nodes are large enough', async () => {
    const all = await driver.fleet.group([{ cpu: 2 }, { cpu: 2 }]);
    expect(await rejection(driver.fleet.group([{ cpu: 1 }], { timeoutMs: 50 }))).toBeInstanceOf(DeadlineExceeded);
    const waiting = driver.fleet.group([{ cpu: 1 }]);
    await all.remove();
    expect((await waiting).bundles[0]?.node).toMatch(/^[ab]$/);
    expect(await rejection(driver.fleet.group([{ cpu: 2 }, { cpu: 2 }], { strategy: 'strictPack' }))).toBeInstanceOf(
      InvalidRequest,
    );
    expect(await rejection(driver.fleet.group([{ cpu: 1 }], { hosting: ['Nothing'] }))).toBeInstanceOf(InvalidRequest);
    expect(await rejection(driver.fleet.group([]))).toHaveProperty('param', 'bundles');
  });

  it('ends with the process that made it', async () => {
    const other = await world.driver('other');
    await other.fleet.group([{ cpu: 2 }, { cpu: 2 }]);
    await until(driver.member, () => freeOf('a') === 0 && freeOf('b') === 0);
    await other.vanish();
    await until(driver.member, () => freeOf('a') === 2 && freeOf('b') === 2);
  });

  it('gets the bundle of a node that is gone again elsewhere, and its actors follow', async () => {
    const group = await driver.fleet.group([{ cpu: 1 }, { cpu: 1 }], { strategy: 'spread' });
    const lost = group.bundles.find(({ node }) => node === 'b')!;
    const counter = await driver.fleet.actor(Counter, { bundle: lost, resources: { cpu: 1 }, maxRestarts: 1 });
    await b.vanish();
    await until(driver.member, () => lost.node === 'a');
    expect(await counter.$with({ timeoutMs: 10_000 }).add(2)).toBe(2);
    expect((await driver.fleet.listGroups()).map(({ users }) => users).sort()).toEqual([0, 1]);
  });
});
