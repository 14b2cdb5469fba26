import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mapAsDone } from '../../../src/async/bounded-map.js';
import { DeadlineExceeded, InvalidRequest } from '../../../src/errors.js';
import { ActorPool, CallCircle } from '../../../src/index.js';
import { Counter, Meter, Relay, square } from './code.js';
import { type Member, RuntimeWorld } from './world.js';

let world: RuntimeWorld;
let driver: Member;

beforeEach(async () => {
  world = await RuntimeWorld.make();
  await world.node('a');
  driver = await world.driver();
});

afterEach(() => world.close());

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const rejection = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: unknown) => error,
  );
const times = <T>(count: number, make: () => Promise<T>) => Promise.all(Array.from({ length: count }, make));

describe('concurrency groups', () => {
  it('limit their methods, beside the others', async () => {
    const meter = await driver.fleet.actor(Meter, { concurrencyGroups: { quick: { max: 3, methods: ['quick'] } } });
    expect(Math.max(...(await times(10, () => meter.slow())))).toBe(1);
    expect(Math.max(...(await times(10, () => meter.quick())))).toBe(3);
    const mixed = await Promise.all([times(5, () => meter.slow()), times(10, () => meter.quick())]);
    expect(Math.max(...mixed.flat())).toBe(4);
    expect((await driver.fleet.listActors())[0]?.calls).toBe(35);
    await meter.$kill();
    expect(await rejection(meter.quick())).toHaveProperty('code', 'unavailable');
  });

  it('let a method wait for one of another group, and for none of its own', async () => {
    const apart = await driver.fleet.actor(Meter, { concurrencyGroups: { self: { max: 1, methods: ['slowBySelf'] } } });
    expect(await apart.slowBySelf()).toBe(1);
    const own = { self: { max: 1, methods: ['slow', 'slowBySelf'] } } as const;
    const together = await driver.fleet.actor(Meter, { maxConcurrency: 8, concurrencyGroups: own });
    expect(await rejection(together.slowBySelf())).toBeInstanceOf(CallCircle);
  });

  it('are refused if a method is in two, or their limits are none', async () => {
    for (const concurrencyGroups of [
      { a: { max: 1, methods: ['slow'] }, b: { max: 1, methods: ['slow'] } },
      { a: { max: 0, methods: ['slow'] } },
      { 'no name': { max: 1, methods: [] } },
    ] as const)
      expect(await rejection(driver.fleet.actor(Meter, { concurrencyGroups }))).toBeInstanceOf(InvalidRequest);
  });
});

describe('a pool of actors', () => {
  it('gives each idle actor one piece of work at a time, in order or as it is done', async () => {
    const actors = await times(3, () => driver.fleet.actor(Counter));
    const pool = new ActorPool(actors);
    let most = 0;
    let running = 0;
    const items = Array.from({ length: 20 }, (_, i) => i);
    const work = async (actor: (typeof actors)[number], item: number) => {
      most = Math.max(most, ++running);
      const result = (await actor.echo(item * 2)) as number;
      running--;
      return result;
    };
    expect(await collect(pool.map(items, work))).toEqual(items.map((item) => item * 2));
    expect((await collect(pool.mapUnordered(items, work))).sort((a, b) => a - b)).toEqual(items.map((i) => i * 2));
    expect(most).toBe(3);
    expect(await rejection(pool.submit((actor) => actor.fail(1)))).toHaveProperty('message', 'no money left');
    expect(await times(9, () => pool.submit((actor) => actor.add(1)))).toHaveLength(9);
    expect(() => new ActorPool([])).toThrow(InvalidRequest);
  });
});

describe('a map without order', () => {
  it('yields what is done first, and takes items no faster than results are read', async () => {
    expect((await collect(driver.fleet.mapUnordered(square, [1, 2, 3]))).sort()).toEqual([1, 4, 9]);
    let taken = 0;
    const items = function* () {
      for (;;) yield taken++;
    };
    const never = new Promise<number>(() => undefined);
    const results = mapAsDone(items(), 3, (item) => (item === 0 ? never : Promise.resolve(item)));
    expect([(await results.next()).value, (await results.next()).value]).toEqual([1, 2]);
    expect(taken).toBeLessThanOrEqual(4);
  });
});

describe('a queue', () => {
  it('keeps the order, waits when it is full or empty, and gives each item once', async () => {
    const queue = await driver.fleet.queue<number>({ capacity: 2, name: 'jobs' });
    const other = await world.driver('other');
    const same = await other.fleet.get<{ take(): number }>('jobs');
    const puts = Array.from({ length: 10 }, (_, i) => queue.put(i));
    expect(await queue.size()).toBe(2);
    const taken = [];
    for (let i = 0; i < 5; i++) taken.push(await queue.take(), await same.take());
    expect(taken).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await Promise.all(puts);
    const waiting = [queue.take(), queue.take()];
    await queue.put(10);
    await queue.put(11);
    expect(await Promise.all(waiting)).toEqual([10, 11]);
    expect(await rejection(driver.fleet.queue({ capacity: 0 }))).toBeInstanceOf(InvalidRequest);
  });

  it('loses nothing to a take that was given up, and keeps nothing of a put that was', async () => {
    const queue = await driver.fleet.queue<number>({ capacity: 1 });
    expect(await rejection(queue.$with({ timeoutMs: 50 }).take())).toBeInstanceOf(DeadlineExceeded);
    await queue.put(1);
    expect(await rejection(queue.$with({ timeoutMs: 50 }).put(2))).toBeInstanceOf(DeadlineExceeded);
    expect(await queue.take()).toBe(1);
    expect(await queue.size()).toBe(0);
    // Its handle travels like any other.
    const relay = await driver.fleet.actor(Relay);
    expect(await rejection(relay.addTo(queue as never, 1))).toHaveProperty(
      'message',
      'cannot call shoal.queue.add: the class has no such method',
    );
  });
});
