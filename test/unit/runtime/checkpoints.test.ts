import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InvalidRequest } from '../../../src/errors.js';
import { Counter, half, Ledger, Picky } from './code.js';
import { type Member, RuntimeWorld } from './world.js';

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

const rejection = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: unknown) => error,
  );
const onA = { near: { node: 'a' } } as const;

describe('the state of an actor with checkpoints', () => {
  it('is there again when its node has vanished, small or large, and without them it is not', async () => {
    const ledger = await driver.fleet.actor(Ledger, { ...onA, maxRestarts: 2, checkpointEvery: 1 });
    const forgetful = await driver.fleet.actor(Ledger, { ...onA, maxRestarts: 1 });
    await forgetful.add(5, false);
    expect(await ledger.add(5, false)).toBe(5);
    await ledger.$kill({ restart: true });
    expect(await ledger.add(1, true)).toBe(20_005);
    await a.vanish();
    expect(await ledger.$with({ timeoutMs: 20_000 }).add(2, false)).toBe(20_007);
    expect(await forgetful.$with({ timeoutMs: 20_000 }).add(2, false)).toBe(2);
  });

  it('of a detached one is in its record, until it is killed', async () => {
    const options = { ...onA, name: 'ledger', lifetime: 'detached', checkpointEvery: 2 } as const;
    const ledger = await driver.fleet.actor(Ledger, options);
    for (const amount of [1, 2, 3]) await ledger.add(amount, false);
    await a.vanish();
    // The third call was after the last checkpoint.
    expect(await ledger.$with({ timeoutMs: 20_000 }).add(10, false)).toBe(13);
    expect(await rejection(ledger.add(1, true))).toHaveProperty('message', expect.stringContaining('at most 64 KiB'));
    await ledger.$kill();
    const next = await driver.fleet.actor(Ledger, { ...options, near: { node: 'b' } });
    expect(await next.add(1, false)).toBe(1);
  });

  it('that cannot be saved fails the call; a class that cannot save is refused', async () => {
    const ledger = await driver.fleet.actor(Ledger, { checkpointEvery: 1 });
    expect(await rejection(ledger.add(13, false))).toHaveProperty('message', 'thirteen cannot be saved');
    const picky = await driver.fleet.actor(Picky, { args: ['unsaved'], checkpointEvery: 1 });
    // An error of the user's code, although it is of the class of one of a lost node.
    expect(await rejection(picky.look())).toMatchObject({ name: 'Unavailable', message: 'the state is gone' });
    expect(await rejection(driver.fleet.actor(Counter, { checkpointEvery: 1 }))).toBeInstanceOf(InvalidRequest);
    expect(await rejection(driver.fleet.actor(Ledger, { checkpointEvery: 0 }))).toBeInstanceOf(InvalidRequest);
  });
});

describe('the schemas of a class or function', () => {
  it('check arguments before the code runs, and results after it', async () => {
    const ledger = await driver.fleet.actor(Ledger);
    expect(await rejection(ledger.add(0, false))).toMatchObject({
      param: '0',
      message: expect.stringContaining('0: the list of arguments of Ledger.add does not fit the schema'),
    });
    // The default of the schema stands for the second argument.
    expect(await (ledger.add as unknown as (amount: number) => Promise<number>)(7)).toBe(7);
    expect(await rejection(ledger.add(1_000_000, false))).toHaveProperty(
      'message',
      expect.stringContaining('the result of Ledger.add'),
    );
    const items: number[] = [];
    const read = async () => {
      for await (const item of ledger.upTo(3)) items.push(item);
    };
    expect(await rejection(read())).toBeInstanceOf(InvalidRequest);
    expect(items).toEqual([1, 2]);
    expect(await rejection(driver.fleet.actor(Ledger, { args: [1] as never }))).toBeInstanceOf(InvalidRequest);
    expect(await driver.fleet.task(half)(4)).toBe(2);
    expect(await rejection(driver.fleet.task(half)(3))).toBeInstanceOf(InvalidRequest);
    expect(await rejection(driver.fleet.task(half)(0.5))).toHaveProperty('param', '0');
  });
});
