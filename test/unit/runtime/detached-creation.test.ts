import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Deferred } from '../../../src/async/deferred.js';
import { MemoryKeyValue } from '../../../src/bus/memory-key-value.js';
import { SimulatedClock } from '../../../src/clock.js';
import { Overloaded, Unavailable } from '../../../src/errors.js';
import { ActorDied, type ActorHandle } from '../../../src/index.js';
import { ActorRecords } from '../../../src/runtime/detached/actor-records.js';
import { createDetached } from '../../../src/runtime/detached/takeover.js';
import { DetachedHost } from '../../../src/runtime/host/detached-host.js';
import { NodeHost } from '../../../src/runtime/host/node-host.js';
import type { RuntimeMember } from '../../../src/runtime/member/member.js';
import { Counter, Sleeper, Tenant } from './code.js';
import { type Member, RuntimeWorld } from './world.js';

const NAME = { namespace: 'default', name: 'one' };

/** The store hands a fence over to a node that has not heard of it. */
async function fence(records: ActorRecords, incarnation: string): Promise<void> {
  for (;;) {
    const before = (await records.lease(incarnation))!;
    if (await records.setLease(incarnation, { ...before.record, actors: [], fencedBy: 'other' }, before)) return;
  }
}

describe('a detached actor that is being created again', () => {
  let world: RuntimeWorld;
  let a: Member;
  let b: Member;
  let driver: Member;
  let sleeper: ActorHandle<Sleeper>;
  /** Resolves when the second life restores its state, which waits for `may`. */
  let entered: Deferred<void>;
  let may: Deferred<void>;
  /** The first life that gives back what it holds. */
  let left: Deferred<number>;

  beforeEach(async () => {
    [entered, may, left] = [new Deferred<void>(), new Deferred<void>(), new Deferred<number>()];
    Sleeper.restoring = async (life) => {
      if (life > 1) return;
      entered.resolve();
      await may.promise;
    };
    Sleeper.leaving = (life) => life > 0 && left.resolve(life);
    world = await RuntimeWorld.make();
    a = await world.node('a');
    b = await world.node('b', { resources: { cpu: 4, disk: 1 } });
    driver = await world.driver();
    const own = { lifetime: 'detached', name: NAME.name, near: { node: 'a' } } as const;
    sleeper = await driver.fleet.actor(Sleeper, { ...own, checkpointEvery: 1 });
    await sleeper.add(1);
  });

  afterEach(async () => {
    vi.restoreAllMocks();
    may.resolve();
    await world.close();
  });

  const restarts = async () => (await driver.fleet.listActors()).map((actor) => `${actor.name} ${actor.restarts}`);

  it('does not begin if its node is fenced off meanwhile, though the node may have others by then', async () => {
    await a.vanish();
    await entered.promise;
    await world.node('c');
    const { records } = driver.fleet;
    await fence(records, b.member.self.incarnation);
    const { spec, node, epoch } = (await records.named(NAME))!.record.detached!;
    await createDetached(driver.member, spec, epoch + 1, node.incarnation);
    await driver.fleet.actor(Counter, { lifetime: 'detached', name: 'two', resources: { disk: 1 } });
    may.resolve();
    expect(await left.promise).toBe(1);
    expect((await restarts()).sort()).toEqual(['one 2', 'two 0']);
    expect(await sleeper.add(1)).toBe(2);
  });

  it('is created once more if its node is fenced off before others have it', async () => {
    await a.vanish();
    await entered.promise;
    await fence(driver.fleet.records, b.member.self.incarnation);
    await driver.fleet.actor(Counter, { lifetime: 'detached', name: 'two', resources: { disk: 1 } });
    may.resolve();
    expect(await left.promise).toBe(1);
    expect(await sleeper.add(1)).toBe(2);
  });

  it('ends by a kill, which waits for it', async () => {
    const asked = new Deferred<void>();
    const host = NodeHost.prototype as unknown as { kill(...args: unknown[]): Promise<{ known: boolean }> };
    const { kill } = host;
    vi.spyOn(host, 'kill').mockImplementation(function (this: NodeHost, ...args: unknown[]) {
      asked.resolve();
      return kill.apply(this as never, args);
    });
    await a.vanish();
    await entered.promise;
    const killed = sleeper.$kill();
    await asked.promise;
    may.resolve();
    await killed;
    expect(await restarts()).toEqual([]);
    await expect(sleeper.add(1)).rejects.toBeInstanceOf(ActorDied);
  });

  it('is looked for again by a kill that finds nothing where its record says that it is', async () => {
    const host = NodeHost.prototype as unknown as { kill(): Promise<{ known: boolean }> };
    vi.spyOn(host, 'kill').mockResolvedValueOnce({ known: false });
    await sleeper.$kill();
    expect(await restarts()).toEqual([]);
  });

  it('gives back what it holds if its state cannot be restored', async () => {
    Sleeper.restoring = () => Promise.reject(new Error('cannot be restored'));
    await a.vanish();
    expect(await left.promise).toBe(1);
  });

  it('keeps its state if the store was away for a moment', async () => {
    may.resolve();
    vi.spyOn(ActorRecords.prototype, 'state').mockRejectedValueOnce(new Unavailable('the store is away'));
    await a.vanish();
    expect(await sleeper.add(1)).toBe(2);
  });

  it('is created elsewhere while its node waits for other actors', async () => {
    may.resolve();
    Tenant.leaving = new Deferred<void>();
    const tenant = await driver.fleet.actor(Tenant, { args: ['t'], near: { node: 'a' } });
    await tenant.greet();
    let hasStopped = false;
    const stopped = a.stop().then(() => {
      hasStopped = true;
    });
    expect(await sleeper.add(1)).toBe(2);
    expect(hasStopped).toBe(false);
    Tenant.leaving.resolve();
    await stopped;
  });
});

it('An actor that was adopted before a fence never answers after it', async () => {
  const clock = new SimulatedClock();
  const store = new MemoryKeyValue();
  const records = new ActorRecords(async () => store);
  const self = { node: 'node', incarnation: 'node-1' };
  let fences = 0;
  const host = new DetachedHost({ self, options: { clock } } as unknown as RuntimeMember, records, () => fences++);
  const adopt = async (name: string) => {
    const own = {
      namespace: 'default',
      lifetime: 'detached',
      bundle: null,
      resources: {},
      checkpointEvery: null,
    } as const;
    const limits = { maxRestarts: 1, maxConcurrency: 1, concurrencyGroups: [], maxPending: 1 };
    const args = { plain: [], tagged: false };
    const spec = { ...own, ...limits, id: name, name, class: 'Counter', version: 'v', args };
    const handle = { id: name, class: 'Counter', streams: [], owner: null, name: { namespace: 'default', name } };
    const calls = { maxTaskRetries: 0, maxConcurrency: 1, concurrencyGroups: [] };
    const detached = { spec, node: { node: 'driver', incarnation: 'driver-1' }, adopted: false, epoch: 0 };
    const key = { namespace: 'default', name };
    const before = await records.named(key);
    await records.setName(key, { handle: { ...handle, ...calls }, detached }, before);
    return host.adopt(spec, 0, 'driver-1');
  };
  const one = (await adopt('one'))!;
  expect(one.valid).toBe(true);
  await fence(records, self.incarnation);
  await expect(adopt('two')).rejects.toBeInstanceOf(Overloaded);
  const two = (await adopt('two'))!;
  expect([one.valid, await one.revived(), two.valid, fences]).toEqual([false, false, true, 1]);
});
