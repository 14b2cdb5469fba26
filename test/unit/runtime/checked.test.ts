import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DeadlineExceeded, InvalidRequest } from '../../../src/errors.js';
import { AffinityPool, batched } from '../../../src/index.js';
import { Counter, Gate, range } from './code.js';
import { type Member, RuntimeWorld } from './world.js';

let world: RuntimeWorld;
let driver: Member;

beforeAll(async () => {
  world = await RuntimeWorld.make();
  await world.node('a');
  driver = await world.driver();
});

afterAll(() => world.close());

const never = new Promise<never>(() => undefined);
const any = (value: unknown) => value as never;

describe('a wrong option is refused by name', () => {
  const wrong: Record<string, (fleet: Member['fleet']) => unknown> = {
    'count: must be a whole number from 0 to 9007199254740991, got NaN': (fleet) => fleet.wait([never], { count: NaN }),
    'timeoutMs: must be a number from 0, got NaN': (fleet) => fleet.wait([never], { timeoutMs: NaN }),
    'timeoutMs: must be a number from 0, got -1': (fleet) => fleet.task(range, { timeoutMs: -1 })(1),
    'timeoutMs: must be a number from 0, got "soon"': async (fleet) =>
      (await fleet.actor(Counter)).$with({ timeoutMs: any('soon') }),
    'signal: must be an AbortSignal, got an object': (fleet) => fleet.task(range, { signal: any({}) })(1),
    'fill: must be one of spread, pack, got "x"': (fleet) => fleet.actor(Counter, { fill: any('x') }),
    'returns: must be one of value, ref, got "x"': (fleet) => fleet.task(range, { returns: any('x') })(1),
    'lifetime: must be one of driver, detached, got "x"': (fleet) => fleet.actor(Counter, { lifetime: any('x') }),
    'near: must be { actor }, { ref }, { node }, { worker } or { prefix }, got an object': (fleet) =>
      fleet.actor(Counter, { near: any({}) }),
    'near: must be { actor }, { ref }, { node }, { worker } or { prefix }, got nodes': (fleet) =>
      fleet.actor(Counter, { near: any({ nodes: 'a' }) }),
    'near.node: must be a string that is not empty, got 5': (fleet) => fleet.actor(Counter, { near: { node: any(5) } }),
    'the value must be a handle of an actor, got undefined': (fleet) =>
      fleet.actor(Counter, { near: { actor: any(undefined) } }),
    'bundle: must be a bundle of a placement group, got 1': (fleet) => fleet.actor(Counter, { bundle: any(1) }),
    'args: must be an array, got 5': (fleet) => fleet.actor(Counter, { args: any(5) }),
    'resources: must be an object such as { cpu: 1 }, got 5': (fleet) => fleet.actor(Counter, { resources: any(5) }),
    'resources.cpu: must be a number, or a size such as 2GiB, got an object': (fleet) =>
      fleet.actor(Counter, { resources: { cpu: any({}) } }),
    'the class must be a class that nodes host, or its name, got undefined': (fleet) => fleet.actor(any(undefined)),
    'the function must be a function that nodes host, or its name, got undefined': (fleet) =>
      (fleet.task(any(undefined)) as () => unknown)(),
    'concurrencyGroups.reads: Counter has no method gte': (fleet) =>
      fleet.actor(Counter, { concurrencyGroups: { reads: { max: 1, methods: [any('gte')] } } }),
    'concurrency: must be a whole number from 1 to 4096, got 0': async (fleet) =>
      fleet.map(range, [1], { concurrency: 0 }),
    'hosting: must be an array, got "Counter"': (fleet) => fleet.group([{ cpu: 1 }], { hosting: any('Counter') }),
    'bundles: must be an array, got an object': (fleet) => fleet.group(any({ cpu: 1 })),
    'waitMs: must be a number from 0, got NaN': async () =>
      batched((items: readonly number[]) => items, { waitMs: NaN }),
    'maxLoad: must be a whole number from 1 to 9007199254740991, got 0': async (fleet) =>
      new AffinityPool([await fleet.actor(Counter)], { maxLoad: 0 }),
  };
  it.each(Object.entries(wrong))('%s', async (message, use) => {
    const error = await Promise.resolve()
      .then(() => use(driver.fleet))
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidRequest);
    expect((error as Error).message).toBe(message);
  });
});

describe('a deadline', () => {
  it('that is over at once stops tasks and calls alike', async () => {
    const late = new DeadlineExceeded('the task range did not finish within 0 ms');
    await expect(driver.fleet.task(range, { timeoutMs: 0 })(1)).rejects.toThrow(late);
    const counter = await driver.fleet.actor(Counter);
    const call = counter.$with({ timeoutMs: 0 }).add(1);
    await expect(call).rejects.toThrow(new DeadlineExceeded('Counter.add did not finish within 0 ms'));
    expect(await counter.add(1)).toBe(1);
  });

  it('names the method, and the time that the caller gave', async () => {
    const gate = await driver.fleet.actor(Gate);
    const call = gate.$with({ timeoutMs: 20.6 }).wait();
    await expect(call).rejects.toThrow(new DeadlineExceeded('Gate.wait did not finish within 21 ms'));
  });
});

it('A handle that is printed or compared calls nothing', async () => {
  const counter = await driver.fleet.actor(Counter);
  expect(String(counter)).toBe(`[ActorHandle Counter ${counter.$id}]`);
  expect(`${counter as unknown as string}`).toBe(String(counter));
  expect(Object.hasOwn(counter, 'add')).toBe(false);
  expect(() => String(counter.$send)).not.toThrow();
  expect(await counter.add(1)).toBe(1);
});

it('An AggregateError arrives with its errors', async () => {
  const counter = await driver.fleet.actor(Counter);
  const error = await counter.failTogether().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(AggregateError);
  const { errors, message } = error as AggregateError;
  expect(message).toBe('both failed');
  expect(errors).toEqual([expect.any(RangeError), expect.any(TypeError)]);
  expect(errors.map((one: Error) => one.message)).toEqual(['one', 'two']);
});
