import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Deferred } from '../../../src/async/deferred.js';
import { SimulatedClock } from '../../../src/clock.js';
import { createLog } from '../../../src/log.js';
import { Disposals } from '../../../src/runtime/host/disposals.js';
import { Tenant } from './code.js';
import { type Member, RuntimeWorld, until } from './world.js';

describe('an actor that holds something', () => {
  let world: RuntimeWorld;
  let node: Member;
  let driver: Member;

  beforeEach(async () => {
    Tenant.left.length = 0;
    Tenant.leaving = new Deferred<void>();
    world = await RuntimeWorld.make();
    node = await world.node('a', { resources: { cpu: 1 } });
    driver = await world.driver();
  });

  afterEach(() => world.close());

  const freeCpu = () => driver.member.directory.get(node.member.self.incarnation)?.free.cpu;
  const rent = async (name: string) => {
    const tenant = await driver.fleet.actor(Tenant, { args: [name], resources: { cpu: 1 } });
    expect(await tenant.greet()).toBe(`I am ${name}`);
    return tenant;
  };

  it('gives it back when it is killed, and then its resources are free', async () => {
    await (await rent('one')).$kill();
    const waiting = rent('two');
    await driver.fleet.listActors();
    expect([Tenant.left, freeCpu()]).toEqual([[], 0]);
    Tenant.leaving.resolve();
    await waiting;
    expect(Tenant.left).toEqual(['one, life 0']);
  });

  it('gives it back when its driver ends', async () => {
    await rent('one');
    Tenant.leaving.resolve();
    await driver.stop();
    const other = await world.driver('other');
    await until(other.member, () => other.member.directory.get(node.member.self.incarnation)?.free.cpu === 1);
    expect(Tenant.left).toEqual(['one, life 0']);
  });

  it('gives it back before its node has ended', async () => {
    await rent('one');
    const stopped = node.stop();
    Tenant.leaving.resolve();
    await stopped;
    expect(Tenant.left).toEqual(['one, life 0']);
  });
});

describe('giving back', () => {
  const idle = (actor: string, value: object) => ({ actor, value, idle: null });

  it('may fail, or take too long, which the log tells', async () => {
    const lines: string[] = [];
    const clock = new SimulatedClock();
    const disposals = new Disposals(clock, createLog({ level: 'error', write: (line) => lines.push(line) }));
    const run = (dispose: () => unknown) => dispose();
    expect(disposals.of(idle('none', {}), run)).toBeNull();
    await disposals.of(idle('fails', { [Symbol.dispose]: () => Promise.reject(new Error('no')) }), run);
    const slow = disposals.of(idle('slow', { [Symbol.asyncDispose]: () => new Promise(() => {}) }), run);
    await clock.advance(5_000);
    await slow;
    await disposals.done();
    expect(lines.map((line) => (JSON.parse(line) as { actor: string }).actor)).toEqual(['fails', 'slow']);
  });

  it('may not be readable, or throw what cannot be read, which the log tells', async () => {
    const lines: string[] = [];
    const log = createLog({ level: 'error', write: (line) => lines.push(line) });
    const disposals = new Disposals(new SimulatedClock(), log);
    const run = (dispose: () => unknown) => dispose();
    const fail = () => {
      throw new Error('cannot be read');
    };
    expect(disposals.of(idle('getter', Object.defineProperty({}, Symbol.dispose, { get: fail })), run)).toBeNull();
    expect(disposals.of(idle('proxy', new Proxy({}, { get: fail })), run)).toBeNull();
    let isBack = false;
    const giveBack = () => {
      isBack = true;
    };
    await disposals.of(idle('bind', { [Symbol.dispose]: Object.assign(giveBack, { bind: fail }) }), run);
    expect(isBack).toBe(true);
    const unreadable = Object.defineProperty(new Error(), 'message', { get: fail });
    await disposals.of(idle('unreadable', { [Symbol.dispose]: () => Promise.reject(unreadable) }), run);
    expect(lines.map((line) => (JSON.parse(line) as { actor: string }).actor)).toEqual([
      'getter',
      'proxy',
      'unreadable',
    ]);
  });

  it('waits for running methods, within the time that a node has to stop', async () => {
    const lines: string[] = [];
    const clock = new SimulatedClock();
    const disposals = new Disposals(clock, createLog({ level: 'error', write: (line) => lines.push(line) }));
    const left: string[] = [];
    const running = (actor: string, method: Promise<void>) => {
      const value = { [Symbol.dispose]: () => left.push(actor) };
      return disposals.of({ actor, value, idle: method }, (dispose) => dispose());
    };
    const method = new Deferred<void>();
    void running('short', method.promise);
    void running('long', new Promise(() => {}));
    const done = disposals.done();
    expect(left).toEqual([]);
    method.resolve();
    await clock.advance(5_000);
    await done;
    expect(left).toEqual(['short']);
    expect(lines.map((line) => (JSON.parse(line) as { actor: string }).actor)).toEqual(['long']);
  });
});
