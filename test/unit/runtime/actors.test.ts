import { afterEach, beforeEach, describe, expect, expectTypeOf, it, vi } from 'vitest';
import { Deferred } from '../../../src/async/deferred.js';
import { Cancelled, DeadlineExceeded, InvalidRequest, Overloaded, Unavailable } from '../../../src/errors.js';
import { ActorDied, type ActorHandle, CallCircle, type ObjectRef, RemoteError, TaskLost } from '../../../src/index.js';
import { Instance } from '../../../src/runtime/host/instance.js';
import {
  Announced,
  Broke,
  Clockwork,
  Counter,
  countdown,
  never,
  oneThenNothing,
  Picky,
  Relay,
  square,
  sumOfSquares,
} from './code.js';
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

afterEach(() => {
  vi.restoreAllMocks();
  return world.close();
});

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    (error: unknown) => error,
  );

describe('an actor of a user on a node', () => {
  it('is created by its class, and called by typed methods, directly and in order', async () => {
    const counter = await driver.fleet.actor(Counter, { args: [10] });
    expectTypeOf(counter.add).parameter(0).toEqualTypeOf<number | ObjectRef<number>>();
    expectTypeOf(counter.add).returns.toEqualTypeOf<Promise<number>>();
    expectTypeOf(counter.upTo).returns.toEqualTypeOf<AsyncIterable<number>>();
    expect(await Promise.all([counter.add(1), counter.slowAdd(2), counter.add(3)])).toEqual([11, 13, 16]);
    const node = driver.fleet.nodes().find(({ actors }) => actors > 0)!;
    expect(driver.member.actors.routeTo({ node: node.id, incarnation: node.incarnation }).kind).toBe('direct');
  });

  it('is called in order by a handle that still looks for it', async () => {
    await driver.fleet.actor(Counter, { name: 'one', lifetime: 'detached' });
    const other = await world.driver('other');
    const counter = await other.fleet.get<Counter>('one');
    const answer = new Deferred<void>();
    let reads = 0;
    // The second call gets the answer of the store last.
    world.beforeRead = async () => (++reads === 2 ? answer.promise : undefined);
    const first = counter.add(1);
    const second = counter.add(1);
    expect(await first).toBe(1);
    const third = counter.add(1);
    const fourth = collect(counter.sums(1));
    counter.$send.add(1);
    const last = counter.add(1);
    answer.resolve();
    expect(await Promise.all([second, third, fourth, last])).toEqual([2, 3, [4], 6]);
  });

  it('streams from generators, and ends them when the reader leaves', async () => {
    const counter = await driver.fleet.actor(Counter);
    expect(await collect(counter.upTo(3))).toEqual([1, 2, 3]);
    expect(await collect(counter.letters('abc'))).toEqual(['a', 'b', 'c']);
    for await (const item of counter.upTo(1_000_000)) if (item === 5) break;
    expect(await counter.add(1)).toBe(1);
  });

  it('takes and gives values that JSON does not have', async () => {
    const { echo } = await driver.fleet.actor(Counter);
    const value = {
      ...{
        date: new Date(5),
        map: new Map([['a', new Set([1, 2])]]),
        big: 2n ** 70n,
        text: /a+/gi,
        nothing: undefined,
      },
      ...{ $: 'a key', floats: Float32Array.of(1.5, -2), bytes: Uint8Array.of(1, 2), list: [null, [true]] },
    };
    expect(await echo(value)).toEqual(value);
    const unsendable = await rejection(echo({ deep: [() => 1] }));
    expect(unsendable).toBeInstanceOf(InvalidRequest);
    expect(unsendable).toHaveProperty('message', 'cannot send a function at 0.deep.0');
  });

  it('throws errors that arrive with class, fields, remote stack and cause', async () => {
    const counter = await driver.fleet.actor(Counter);
    const foreign = await rejection(counter.fail(7));
    expect(foreign).toBeInstanceOf(RemoteError);
    expect(foreign).toMatchObject({ name: 'Broke', message: 'no money left', amount: 7 });
    driver.fleet.knowErrors([Broke]);
    const error = await rejection(counter.fail(7));
    expect(error).toBeInstanceOf(Broke);
    expect((error as Broke).stack).toContain('code.ts');
    expect((error as Broke).cause).toBeInstanceOf(RangeError);
    expect(await rejection(driver.fleet.actor(Counter, { args: [-1] }))).toBeInstanceOf(Broke);
    expect(await rejection(counter.throwObject())).toMatchObject({ status: 404, detail: { path: ['a', 1] } });
    expect(await rejection(counter.throwText())).toHaveProperty('message', 'a text');
    expect(await counter.add(1)).toBe(1);
  });

  it.each([
    ['message', 'RangeError', 'an object was thrown, of the class RangeError'],
    ['field', 'RangeError', 'left'],
    ['once', 'RangeError', 'once'],
    ['proxy', 'Object', 'an object was thrown, of the class Object'],
    ['cause', 'RangeError', 'caused'],
    ['constructor', 'Object', 'an object was thrown, of the class Object'],
    ['function', 'Error', 'a function was thrown'],
    ['symbol', 'Error', 'Symbol(s)'],
    ['nothing', 'Object', 'an object was thrown, of the class Object'],
  ])('lives on when it throws what cannot be read: %s', async (kind, name, message) => {
    const counter = await driver.fleet.actor(Counter);
    expect(await counter.add(1)).toBe(1);
    expect(await rejection(counter.throwUnreadable(kind))).toMatchObject({ name, message });
    expect(await counter.add(1)).toBe(2);
  });

  it.each([
    ['busy', Overloaded],
    ['gone', Unavailable],
  ] as const)(
    'fails with the error of its constructor, and is not tried again, if that is of the class of a node that is %s',
    async (kind, of) => {
      Picky.made = 0;
      for (const lifetime of ['driver', 'detached'] as const) {
        const error = await rejection(driver.fleet.actor(Picky, { args: [kind], lifetime, name: lifetime }));
        expect(error).toBeInstanceOf(of);
        expect(error).toHaveProperty('message', `the constructor is ${kind}`);
      }
      expect(Picky.made).toBe(2);
    },
  );

  it('is not waited for beyond the time of its creator, who gives its name back', async () => {
    const all = { resources: { cpu: 4 } };
    const [first] = await Promise.all([driver.fleet.actor(Counter, all), driver.fleet.actor(Counter, all)]);
    const late = rejection(driver.fleet.actor(Counter, { ...all, name: 'one', timeoutMs: 50 }));
    expect(await late).toBeInstanceOf(DeadlineExceeded);
    expect(await late).toHaveProperty('message', 'the actor Counter was not created within 50 ms');
    expect(await rejection(driver.fleet.actor(Counter, { ...all, timeoutMs: 0 }))).toBeInstanceOf(DeadlineExceeded);
    const abort = new AbortController();
    for (const lifetime of ['driver', 'detached'] as const) {
      const given = rejection(
        driver.fleet.actor(Counter, { ...all, name: `of-${lifetime}`, lifetime, signal: abort.signal }),
      );
      abort.abort();
      expect(await given).toBeInstanceOf(Cancelled);
    }
    await first!.$kill();
    for (const name of ['one', 'of-driver']) await (await driver.fleet.actor(Counter, { ...all, name })).$kill();
  });

  it('ends if its creator gives up while its constructor runs', async () => {
    const abort = new AbortController();
    Announced.made = () => abort.abort();
    const ended = vi.spyOn(Instance.prototype, 'idle', 'get');
    expect(await rejection(driver.fleet.actor(Announced, { signal: abort.signal }))).toBeInstanceOf(Cancelled);
    await until(driver.member, () => ended.mock.calls.length === 1);
  });

  it('refuses a method that the class does not have', async () => {
    const counter = (await driver.fleet.actor(Counter)) as unknown as Record<string, () => Promise<unknown>>;
    for (const method of ['sum', 'constructor', '__proto__']) {
      expect(await rejection(counter[method]!())).toHaveProperty(
        'message',
        `cannot call Counter.${method}: the class has no such method`,
      );
    }
  });

  it('has handles that travel in messages', async () => {
    const counter = await driver.fleet.actor(Counter, { near: { node: 'a' } });
    const relay = await driver.fleet.actor(Relay, { near: { node: 'b' } });
    expect(await relay.addTo(counter as never, 5)).toBe(5);
    expect(await counter.add(1)).toBe(6);
  });

  it('is refused a call that would wait for itself, and runs it with a higher concurrency', async () => {
    const single = await driver.fleet.actor(Counter);
    expect(await rejection(single.addBySelf(1))).toBeInstanceOf(CallCircle);
    const double = await driver.fleet.actor(Counter, { maxConcurrency: 2 });
    expect(await double.addBySelf(1)).toBe(1);
  });

  it('may call itself in what a method or its constructor has started, once that has ended, and in generators', async () => {
    const clockwork = await driver.fleet.actor(Clockwork, { concurrencyGroups: { all: { max: 1, methods: ['all'] } } });
    await clockwork.start();
    await clockwork.wind();
    expect(await clockwork.all()).toEqual([1, 2]);
    expect(await collect(clockwork.ticking(2))).toEqual([3, 4]);
    const other = await driver.fleet.actor(Clockwork);
    expect(await rejection(clockwork.tickBy(other))).toBeInstanceOf(CallCircle);
  });

  it('aborts a call whose deadline passes, and one that is cancelled', async () => {
    const counter = await driver.fleet.actor(Counter, { maxConcurrency: 4 });
    expect(await rejection(counter.$with({ timeoutMs: 20 }).waitForAbort())).toBeInstanceOf(DeadlineExceeded);
    const caller = new AbortController();
    const call = rejection(counter.$with({ signal: caller.signal }).waitForAbort());
    caller.abort();
    expect(await call).toHaveProperty('code', 'cancelled');
    expect(await counter.add(1)).toBe(1);
  });

  it('refuses more calls than may wait', async () => {
    const counter = await driver.fleet.actor(Counter, { maxPending: 2 });
    const caller = new AbortController();
    const stuck = rejection(counter.$with({ signal: caller.signal }).waitForAbort());
    const calls = Array.from({ length: 4 }, () => rejection(counter.add(1)));
    expect(await Promise.race(calls)).toBeInstanceOf(Overloaded);
    caller.abort();
    expect((await Promise.all(calls)).filter((error) => error instanceof Overloaded)).toHaveLength(2);
    await stuck;
  });

  it('has a name that is unique in its namespace, until it is dead', async () => {
    const named = { name: 'till', namespace: 'shop' };
    const till = await driver.fleet.actor(Counter, { ...named, args: [1] });
    expect(await rejection(driver.fleet.actor(Counter, named))).toHaveProperty('param', 'name');
    const same = await driver.fleet.actor(Counter, { ...named, getIfExists: true });
    expect(same.$id).toBe(till.$id);
    const other = await world.driver('other');
    expect(await (await other.fleet.get<Counter>('till', { namespace: 'shop' })).add(1)).toBe(2);
    expect(await rejection(other.fleet.get('till'))).toBeInstanceOf(InvalidRequest);
    await till.$kill();
    expect(await rejection(till.add(1))).toBeInstanceOf(ActorDied);
    const next = await driver.fleet.actor(Counter, { ...named, getIfExists: true });
    expect(await next.add(1)).toBe(1);
  });

  it('of one name is created once by many at a time', async () => {
    const handles = await Promise.all(
      Array.from({ length: 8 }, () => driver.fleet.actor(Counter, { name: 'one', getIfExists: true })),
    );
    expect(new Set(handles.map(({ $id }) => $id)).size).toBe(1);
    expect(await driver.fleet.listActors()).toHaveLength(1);
  });

  it('is restarted by a kill as often as it may be, and found again by its handles', async () => {
    const counter = await driver.fleet.actor(Counter, { args: [3], maxRestarts: 1 });
    await counter.add(1);
    await counter.$kill({ restart: true });
    expect(await counter.add(1)).toBe(4);
    await counter.$kill({ restart: true });
    const error = await rejection(counter.add(1));
    expect(error).toBeInstanceOf(ActorDied);
    expect(error).toMatchObject({ mayHaveRun: false, message: expect.stringContaining('no restarts left of 1') });
  });

  it('is created again on another node when its node vanishes; a call in flight fails unless it may be repeated', async () => {
    const options = { near: { node: 'a' }, maxRestarts: 1, maxConcurrency: 2 };
    const once = await driver.fleet.actor(Counter, options);
    const repeated: ActorHandle<Counter> = await driver.fleet.actor(Counter, { ...options, maxTaskRetries: 1 });
    const [lost, kept] = [rejection(once.waitForAbort()), repeated.$with({ timeoutMs: 20_000 }).waitForAbort()];
    const stillWaiting = rejection(kept);
    await once.add(1);
    await a.vanish();
    expect(await lost).toMatchObject({ mayHaveRun: true });
    expect(await once.add(1)).toBe(1);
    expect(await repeated.me()).toMatchObject({ attempt: 0 });
    const described = async () => (await driver.fleet.listActors()).find(({ id }) => id === repeated.$id)!;
    while ((await described()).running === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(await described()).toMatchObject({ node: 'b', restarts: 1, running: 1 });
    await repeated.$kill();
    expect(await stillWaiting).toBeInstanceOf(ActorDied);
  });

  it('fails a stream that breaks off after its first item as it fails a call', async () => {
    const counter = await driver.fleet.actor(Counter, { near: { node: 'a' }, maxTaskRetries: 3 });
    const items = counter.upTo(1_000_000)[Symbol.asyncIterator]();
    expect(await items.next()).toEqual({ done: false, value: 1 });
    await a.vanish();
    const rest = async () => {
      while (!(await items.next()).done);
    };
    const error = await rejection(rest());
    expect(error).toBeInstanceOf(ActorDied);
    expect(error).toMatchObject({ mayHaveRun: true, message: expect.stringMatching(/during upTo after item \d+: /) });
  });

  it('ends with the process that created it', async () => {
    await driver.fleet.actor(Counter);
    const other = await world.driver('other');
    expect(await other.fleet.listActors()).toHaveLength(1);
    await driver.fleet.close();
    await until(other.member, () => other.fleet.nodes().every(({ actors }) => actors === 0));
    expect(await other.fleet.listActors()).toEqual([]);
  });
});

describe('a task', () => {
  it('runs on a node, alone and over many items, also from within a task', async () => {
    const run = driver.fleet.task(square);
    expectTypeOf(run).returns.toEqualTypeOf<Promise<number>>();
    expect(await run(3)).toBe(9);
    expect(await collect(driver.fleet.map(square, [1, 2, 3, 4, 5], { concurrency: 2 }))).toEqual([1, 4, 9, 16, 25]);
    expect(await driver.fleet.task(sumOfSquares)(3)).toBe(14);
    expect(await collect(driver.fleet.task(countdown)(3))).toEqual([3, 2, 1]);
  });

  it('that is lost with its node says that it may have run', async () => {
    const lost = rejection(driver.fleet.task(never, { near: { node: 'a' } })());
    const items = driver.fleet
      .task(oneThenNothing, { near: { node: 'a' } })()
      [Symbol.asyncIterator]();
    expect(await items.next()).toEqual({ value: 1, done: false });
    const next = rejection(items.next());
    await until(driver.member, () => driver.fleet.nodes().some(({ id, tasks }) => id === 'a' && tasks === 2));
    await a.vanish();
    for (const error of [await lost, await next]) {
      expect(error).toBeInstanceOf(TaskLost);
      expect(error).toHaveProperty('mayHaveRun', true);
    }
  });

  it('waits for room, and takes nothing when it is over', async () => {
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, i) => driver.fleet.task(square, { resources: { cpu: 4 } })(i)),
    );
    expect(results).toEqual(Array.from({ length: 20 }, (_, i) => i * i));
    await until(driver.member, () =>
      driver.fleet.nodes().every(({ kind, free }) => kind === 'driver' || free.cpu === 4),
    );
  });

  it('is refused where no node hosts it, or none is large enough', async () => {
    const foreign = function unknownToAll() {
      return 0;
    };
    const errors = await Promise.all([
      rejection(driver.fleet.task(foreign)()),
      rejection(driver.fleet.task(square, { resources: { gpu: 1 } })(1)),
    ]);
    expect(errors).toMatchObject([
      { message: 'unknownToAll: no node hosts the function unknownToAll; start one with shoal node --actors FILE' },
      { message: 'square: no node that hosts square has gpu 1 in all' },
    ]);
  });
});
