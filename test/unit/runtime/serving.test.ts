import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../src/clock.js';
import { Overloaded } from '../../../src/errors.js';
import { ActorDied, type ActorHandle, AffinityPool, batched, type Ingress, serveActor } from '../../../src/index.js';
import { Counter } from './code.js';
import { type Member, RuntimeWorld } from './world.js';

const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    (error: unknown) => error,
  );

describe('a batched function', () => {
  it('runs full batches at once, and others when their time is over, one at a time', async () => {
    const clock = new SimulatedClock();
    const batches: number[][] = [];
    const double = batched(
      (items: number[]) => {
        batches.push([...items]);
        return items.map((item) => 2 * item);
      },
      { maxSize: 3, waitMs: 10, clock },
    );
    const results = [1, 2, 3, 4].map(double);
    expect(await Promise.all(results.slice(0, 3))).toEqual([2, 4, 6]);
    expect(batches).toEqual([[1, 2, 3]]);
    clock.advance(10);
    expect(await results[3]).toBe(8);
    expect(batches).toEqual([[1, 2, 3], [4]]);
  });

  it('throws to the calls of its batch alone, also if results are missing, and refuses more than may wait', async () => {
    const clock = new SimulatedClock();
    const run = batched(
      async (items: readonly number[]) => {
        if (items.includes(13)) throw new RangeError('thirteen');
        return items.filter((item) => item !== 14);
      },
      { maxSize: 2, maxWaiting: 2, clock },
    );
    const failed = await Promise.all([rejection(run(13)), rejection(run(1))]);
    expect(failed.map((error) => (error as Error).message)).toEqual(['thirteen', 'thirteen']);
    expect(await rejection(Promise.all([run(14), run(2)]))).toHaveProperty(
      'message',
      expect.stringMatching(/1 results/),
    );
    const waiting = [run(3), run(4), run(5), run(6)];
    expect(await rejection(run(7))).toBeInstanceOf(Overloaded);
    expect(await Promise.all(waiting)).toEqual([3, 4, 5, 6]);
  });
});

describe('a pool with affinity', () => {
  const SYSTEM = 'You are one of many agents. '.repeat(40);
  const actors = ['a', 'b', 'c'].map(($id) => ({ $id }) as ActorHandle<Counter>);

  it('gives work to the actor that had its prefix, and to the emptiest for a new one', async () => {
    const pool = new AffinityPool(actors);
    const place = (prefix: string) => pool.submit(prefix, async ({ $id }) => $id);
    const first = await place(`${SYSTEM} one`);
    expect([await place(`${SYSTEM} two`), await place(`${SYSTEM} three`)]).toEqual([first, first]);
    const held: (() => void)[] = [];
    const hold = (prefix: string) =>
      new Promise<string>((resolve) => {
        void pool.submit(prefix, async ({ $id }) => {
          resolve($id);
          await new Promise<void>((done) => held.push(done));
        });
      });
    expect(await hold(`${SYSTEM} four`)).toBe(first);
    expect(await hold('something else')).not.toBe(first);
    for (const done of held) done();
  });

  it('spreads work of one prefix when its actor has more than its share, and waits when all are full', async () => {
    const pool = new AffinityPool(actors, { maxLoad: 2, maxWaiting: 1 });
    const loads = new Map<string, number>();
    const held: (() => void)[] = [];
    const works = Array.from({ length: 7 }, () =>
      pool.submit(SYSTEM, async ({ $id }) => {
        loads.set($id, (loads.get($id) ?? 0) + 1);
        await new Promise<void>((done) => held.push(done));
      }),
    );
    expect([...loads.values()]).toEqual([2, 2, 2]);
    expect(await rejection(pool.submit(SYSTEM, async () => {}))).toBeInstanceOf(Overloaded);
    held.shift()!();
    await works[0];
    while (held.length < 6) await new Promise((resolve) => setImmediate(resolve));
    for (const done of held) done();
    await Promise.all(works);
  });

  it('passes over an actor that died, and comes back to it', async () => {
    const pool = new AffinityPool(actors);
    const dead = new Set<string>();
    const work = async ({ $id }: { readonly $id: string }) => {
      if (dead.has($id)) throw new ActorDied(`${$id} is dead`, false);
      return $id;
    };
    const first = await pool.submit(SYSTEM, work);
    dead.add(first);
    expect(await rejection(pool.submit(SYSTEM, work))).toBeInstanceOf(ActorDied);
    const next = await pool.submit(SYSTEM, work);
    expect(next).not.toBe(first);
    for (let i = 0; i < 5; i++) expect(await pool.submit(SYSTEM, work)).toBe(next);
    dead.clear();
    const all = new Set<string>();
    for (let i = 0; i < 20; i++) all.add(await pool.submit(`something else ${i}`, work));
    expect(all).toContain(first);
  });

  it('goes on with dead actors where no other is left', async () => {
    const pool = new AffinityPool(actors.slice(0, 1), { maxLoad: 1 });
    const died = () => pool.submit(SYSTEM, () => Promise.reject(new ActorDied('dead', false)));
    const [one, two] = await Promise.all([rejection(died()), rejection(died())]);
    expect([one, two]).toEqual([expect.any(ActorDied), expect.any(ActorDied)]);
    expect(await pool.submit(SYSTEM, async ({ $id }) => $id)).toBe('a');
  });
});

describe('an actor over HTTP', () => {
  let world: RuntimeWorld;
  let driver: Member;
  let ingress: Ingress;

  beforeEach(async () => {
    world = await RuntimeWorld.make();
    await world.node('a');
    driver = await world.driver();
    const counter = await driver.fleet.actor(Counter, { args: [1] });
    ingress = await serveActor<Counter>(counter, { methods: ['add', 'upTo', 'fail'], port: 0, key: 'sesame' });
  });

  afterEach(async () => {
    await ingress.close();
    await world.close();
  });

  const post = (path: string, body: string, more: Record<string, string> = {}) =>
    fetch(`${ingress.url}/${path}`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', authorization: 'Bearer sesame', ...more },
    });

  it('answers values and streams', async () => {
    expect(await (await post('add', '[5]')).json()).toBe(6);
    expect(await (await post('upTo', '[3]')).text()).toBe('1\n2\n3\n');
  });

  it('refuses what is not allowed, and tells what went wrong', async () => {
    const status = async (answer: Promise<Response>) => (await answer).status;
    expect(await status(post('echo', '[1]'))).toBe(404);
    expect(await status(fetch(`${ingress.url}/add`, { headers: { authorization: 'Bearer sesame' } }))).toBe(405);
    expect(await status(post('add', '5'))).toBe(400);
    expect(await status(post('add', '[5]', { 'content-type': 'text/plain' }))).toBe(415);
    expect(await status(post('add', `["${'x'.repeat(2 ** 20)}"]`))).toBe(413);
    expect(await status(post('add', '[5]', { authorization: 'Bearer other' }))).toBe(403);
    const failed = await post('fail', '[1]');
    expect(failed.status).toBe(500);
    expect(await failed.json()).toMatchObject({ error: { message: expect.stringMatching(/no money left/) } });
    const open = serveActor<Counter>({} as never, { methods: ['add'], port: 0, host: '0.0.0.0' });
    expect(await rejection(open)).toHaveProperty('message', expect.stringMatching(/^key: must be given/));
  });
});
