import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { readdir, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from 'vitest';
import { collectGarbage } from '../../../bench/garbage.js';
import { Corrupt, Overloaded } from '../../../src/errors.js';
import { ObjectLost, type ObjectRef } from '../../../src/index.js';
import { createLog, SILENT_LOG } from '../../../src/log.js';
import { SystemRandom } from '../../../src/random.js';
import { ObjectMemory } from '../../../src/runtime/objects/object-memory.js';
import { Counter, countedRange, Gate, Keeper, range, total } from './code.js';
import { type Member, RuntimeWorld, until } from './world.js';

let world: RuntimeWorld;
let a: Member;
let b: Member;
let driver: Member;

beforeEach(async () => {
  world = await RuntimeWorld.make();
  a = await world.node('a');
  b = await world.node('b');
  driver = await world.driver();
});

afterEach(() => world.close());

const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    (error: unknown) => error,
  );

/**
 * Resolves when a member stores so many objects. They end a message or two after what ended them: for references that a call got within its
 * arguments that is the collection of garbage.
 */
function stores({ fleet, member }: Member, objects: number): Promise<void> {
  return until(member, () => {
    collectGarbage();
    return fleet.objectStats().objects === objects;
  });
}

describe('an object', () => {
  it('is read by whoever has a reference, and is the value where it is an argument by itself', async () => {
    const ref = driver.fleet.put(range(100_000));
    expectTypeOf(ref).toEqualTypeOf<ObjectRef<Float64Array>>();
    expect(await driver.fleet.task(total)(ref)).toBe(4_999_950_000);
    const own = await ref.get();
    own[0] = 5;
    expect((await ref.get())[0]).toBe(0);
  });

  it('that is the result of a call, and cannot be read, does not make the actor look lost', async () => {
    await world.node('c', { listens: false });
    const caller = await world.driver('caller');
    const keeper = await caller.fleet.actor(Keeper, { near: { node: 'c' }, maxRestarts: 1, maxTaskRetries: 1 });
    const error = await rejection(keeper.make(100_000));
    expect(error).toMatchObject({
      name: 'Unavailable',
      message: expect.stringMatching(
        /^Keeper.make has run, but its result cannot be read: .* no direct connection to c; .*--peer-host/,
      ),
    });
    expect(await keeper.make(2)).toHaveLength(2);
  });

  it('is kept as long as any process has a reference', async () => {
    const ref = driver.fleet.put(range(10));
    const keeper = await driver.fleet.actor(Keeper, { near: { node: 'a' } });
    const other = await driver.fleet.actor(Keeper, { near: { node: 'b' } });
    await keeper.keep({ ref });
    ref.release();
    expect(await keeper.read()).toBe(10);
    expect(driver.fleet.objectStats()).toMatchObject({ objects: 1 });
    await expect(ref.get()).rejects.toThrow('has been released');
    await expect(other.keep({ ref })).rejects.toThrow('has been released');
  });

  it('takes large arguments and results by itself, and ends with the call', async () => {
    const counter = await driver.fleet.actor(Counter, { near: { node: 'a' } });
    const value = { text: 'x'.repeat(100_000), floats: Float32Array.from({ length: 30_000 }, (_, i) => i) };
    expect(await counter.echo(value)).toEqual(value);
    await stores(driver, 0);
    await stores(a, 0);
  });

  it('in arguments stays while the call waits, however long, and ends after it', async () => {
    world.sentMs = 0;
    await world.node('brief-node');
    const { fleet, member } = await world.driver('brief');
    const gate = await fleet.actor(Gate, {
      near: { node: 'brief-node' },
      concurrencyGroups: { wait: { max: 1, methods: ['pass'] } },
    });
    const running = gate.wait();
    const alone = fleet.put(range(10));
    const within = fleet.put(range(20));
    const nested = fleet.put([{ numbers: within }]);
    const waiting = [gate.length(alone as never), gate.lengthOf([{ numbers: within }]), gate.lengthOf(nested as never)];
    for (const ref of [alone, within, nested]) ref.release();
    expect(fleet.objectStats().objects).toBe(3);
    await gate.pass();
    expect(await Promise.all([running, ...waiting])).toEqual([undefined, 10, 20, 20]);
    await stores({ fleet, member } as Member, 0);
  });

  it('in arguments ends with the answer, if the callee keeps no reference', async () => {
    const gate = await driver.fleet.actor(Gate, { near: { node: 'a' } });
    for (let i = 0; i < 20; i++) {
      const ref = driver.fleet.put(new Float64Array(100));
      const made = await driver.fleet.task(range, { returns: 'ref', near: { node: 'b' } })(100);
      await driver.fleet.task(total, { near: { node: 'a' } })(ref);
      await driver.fleet.task(total, { near: { node: 'a' } })(made);
      for (const each of [ref, made]) each.release();
    }
    for (const { fleet } of [driver, b]) expect(fleet.objectStats().objects).toBeLessThanOrEqual(1);
    const within = driver.fleet.put(range(100));
    expect(await gate.lengthOf([{ numbers: within }])).toBe(100);
    expect(await gate.lengthOf([{ numbers: within, text: 'x'.repeat(100_000) }] as never)).toBe(100);
    within.release();
    await stores(driver, 0);
    await stores(b, 0);
  });

  it('in arguments stays with its owner when the callee keeps a reference, although the caller gives up its own with the answer', async () => {
    world.sentMs = 0;
    const { fleet } = await world.driver('brief');
    const keeper = await fleet.actor(Keeper, { near: { node: 'a' } });
    for (let i = 0; i < 20; i++) {
      const made = await fleet.task(range, { returns: 'ref', near: { node: 'b' } })(10);
      await keeper.keep({ ref: made } as never);
      made.release();
      expect(await keeper.read()).toBe(10);
      await keeper.drop();
    }
  });

  it('that is sent without an answer stays until it was used', async () => {
    world.sentMs = 0;
    const { fleet, member } = await world.driver('brief');
    const keeper = await fleet.actor(Keeper, { near: { node: 'a' } });
    const ref = fleet.put(range(10));
    keeper.$send.keep({ ref } as never);
    ref.release();
    expect(fleet.objectStats().objects).toBe(1);
    expect(await keeper.read()).toBe(10);
    await keeper.drop();
    await stores({ fleet, member } as Member, 0);
  });

  it('that another object refers to stays as long as that one', async () => {
    world.sentMs = 0;
    const { fleet, member } = await world.driver('brief');
    const inner = fleet.put(range(7));
    const outer = fleet.put({ inner });
    inner.release();
    expect(fleet.objectStats().objects).toBe(2);
    expect(await (await outer.get()).inner.get()).toHaveLength(7);
    outer.release();
    await until(member, () => fleet.objectStats().objects <= 1);
  });

  it('that could not be read again is refused when it is put', () => {
    const text = 'x'.repeat(2 ** 26);
    expect(() => driver.fleet.put(text)).toThrow(/bytes beside its typed arrays; at most 67108864 are allowed/);
  });

  it('stays with a node that has the id of one that is gone', async () => {
    world.sentMs = 0;
    await world.node('c');
    const { fleet, member } = await world.driver('brief');
    const keeper = await fleet.actor(Keeper, { near: { node: 'c' } });
    const ref = fleet.put(range(10));
    await keeper.keep({ ref } as never);
    ref.release();
    const earlier = await world.node('c', { listens: false });
    const { incarnation } = earlier.member.self;
    await until(member, () => member.directory.get(incarnation) !== null);
    await earlier.stop();
    await until(member, () => member.directory.get(incarnation) === null);
    expect(await keeper.read()).toBe(10);
  });

  it('cannot be an argument of a detached actor, which may outlive it', async () => {
    const options = { name: 'late', lifetime: 'detached', args: [driver.fleet.put(1)] } as const;
    await expect(driver.fleet.actor(Counter, options as never)).rejects.toThrow('must not refer to objects');
  });

  it('that a task made stays where it was made, and is there for the next one', async () => {
    const made = await driver.fleet.task(range, { returns: 'ref', near: { node: 'b' } })(50_000);
    expectTypeOf(made).toEqualTypeOf<ObjectRef<Float64Array>>();
    expect(b.fleet.objectStats().objects).toBe(1);
    expect(await driver.fleet.task(total, { near: { ref: made } })(made)).toBe(1_249_975_000);
  });

  it('that a task made ends when its caller releases it', async () => {
    const made = await driver.fleet.task(range, { returns: 'ref', near: { node: 'b' } })(50_000);
    // When the first answer is here, the owner no longer keeps the object for the message in which the reference came.
    for (let i = 0; i < 2; i++) expect(await made.get()).toHaveLength(50_000);
    expect(b.fleet.objectStats().objects).toBe(1);
    made.release();
    await stores(b, 0);
  });

  it('is lost with its owner, unless the task that made it may be repeated', async () => {
    const lost = await driver.fleet.task(range, { returns: 'ref', near: { node: 'b' } })(10);
    const again = await driver.fleet.task(range, { returns: 'ref', near: { node: 'b' }, maxTaskRetries: 1 })(10);
    await b.vanish();
    expect(await rejection(lost.get())).toBeInstanceOf(ObjectLost);
    expect(await rejection(driver.fleet.task(total)(lost))).toBeInstanceOf(ObjectLost);
    expect(await again.get()).toHaveLength(10);
  });

  it('that was lost is computed again once, for all readers, also when its arguments were released', async () => {
    world.sentMs = 0;
    const { fleet, member } = await world.driver('brief');
    const counter = await fleet.actor(Counter, { near: { node: 'a' } });
    const argument = fleet.put(5);
    const counted = fleet.task(countedRange, { returns: 'ref', near: { node: 'b' }, maxTaskRetries: 1 });
    const made = await counted(argument as never, counter as never);
    argument.release();
    await b.vanish();
    const readers = await Promise.all([made.get(), made.get(), made.get()]);
    expect(readers.map(({ length }) => length)).toEqual([5, 5, 5]);
    expect(await made.get()).toHaveLength(5);
    expect(await fleet.task(total)(made as never)).toBe(10);
    expect(await counter.add(0)).toBe(2);
    expect(fleet.objectStats().objects).toBe(1);
    made.release();
    await stores({ fleet, member } as Member, 0);
  });

  it('that is large is mapped by the processes of its host, each with what it writes for itself', async () => {
    const ref = driver.fleet.put(Float64Array.from({ length: 2 ** 18 }, (_, i) => i));
    const gate = await driver.fleet.actor(Gate);
    expect(await gate.changed({ ref })).toBe(2 ** 18 - 1);
    expect(mappedObjects()).toBe(1);
    const own = await ref.get();
    own.fill(1);
    expect((await ref.get()).at(-1)).toBe(2 ** 18 - 1);
    const enqueue = (to: ReadableByteStreamController) => to.enqueue(new Uint8Array(own.buffer));
    expect(() => new ReadableStream({ type: 'bytes', start: enqueue })).toThrow('could not be transferred');
    const late = await ref.get();
    ref.release();
    await stores(driver, 0);
    expect([own.at(-1), late.at(5)]).toEqual([1, 5]);
  });

  it('that is large comes over the connection where it cannot be mapped', async () => {
    Object.assign(a.member.options.surroundings, { hostId: 'elsewhere' });
    collectGarbage();
    const before = mappedObjects();
    const ref = driver.fleet.put(new Uint8Array(2 ** 21).fill(3));
    const gate = await driver.fleet.actor(Gate, { near: { node: 'a' } });
    expect(await gate.changed({ ref } as never)).toBe(3);
    expect(mappedObjects()).toBeLessThanOrEqual(before);
  });

  it('that does not fit into the budget is refused', async () => {
    expect(await rejection((async () => driver.fleet.put(new Uint8Array(2 ** 25)))())).toBeInstanceOf(Overloaded);
    const counter = await driver.fleet.actor(Counter);
    expect(await rejection(counter.echo(new Uint8Array(2 ** 25)))).toBeInstanceOf(Overloaded);
  });
});

/** Files of objects, each counted once, that this process has mapped. */
function mappedObjects(): number {
  const names = readFileSync('/proc/self/maps', 'utf8').match(/memfd:shoal-object-[0-9a-f]+/g);
  return new Set(names).size;
}

describe('waiting for some of many', () => {
  it('tells which are settled when enough are, or the time is over', async () => {
    const never = new Promise<number>(() => undefined);
    const [one, two] = [driver.fleet.task(total)(range(2)), Promise.reject(new Error('settled too'))];
    const promises = [never, one, two as Promise<number>];
    expect(await driver.fleet.wait(promises, { count: 2 })).toEqual({ ready: [one, two], pending: [never] });
    expect(await driver.fleet.wait([never], { timeoutMs: 10 })).toEqual({ ready: [], pending: [never] });
    expect(await driver.fleet.wait([])).toEqual({ ready: [], pending: [] });
  });
});

describe('a store of objects', () => {
  it('writes the least recently used to files, reads them there, and removes them', async () => {
    const dir = `${a.member.options.listen!.unixPath}-objects`;
    const store = new ObjectMemory({ budgetBytes: 4_000, dir, log: SILENT_LOG, random: new SystemRandom() });
    const bytes = (value: number) => {
      const halves = [0, 500].map((at) => ({ at, bytes: new Uint8Array(500).fill(value) }));
      return { byteLength: 1_000, pieces: halves };
    };
    for (let i = 1; i <= 3; i++) store.put(`o${i}`, bytes(i));
    await store.read('o1', 0, 10);
    store.put('o4', bytes(4));
    expect(() => store.put('o5', bytes(5))).toThrow(Overloaded);
    await store.spilled();
    expect(store.memoryBytes).toBeLessThanOrEqual(1_500);
    expect((await readdir(dir)).sort()).toEqual(['o1', 'o2', 'o3']);
    for (let i = 1; i <= 4; i++) expect(await store.read(`o${i}`, 500, 503)).toEqual(new Uint8Array(3).fill(i));
    store.put('o5', bytes(5));
    store.delete('o2');
    expect(await store.read('o2', 0, 1)).toBeNull();
    await truncate(join(dir, 'o1'), 502);
    await expect(store.read('o1', 500, 503)).rejects.toThrow(Corrupt);
    await store.close();
    await expect(readdir(dir)).rejects.toThrow('ENOENT');
  });

  it('keeps in memory what it cannot write to files, leaves no part there, and writes once the disk has room', async () => {
    const dir = `${a.member.options.listen!.unixPath}-full`;
    mkdirSync(dir, { mode: 0o700 });
    for (const id of ['o0', 'o1']) symlinkSync('/dev/full', join(dir, id));
    const logged: string[] = [];
    const log = createLog({ level: 'error', write: (line) => logged.push(line) });
    const store = new ObjectMemory({ budgetBytes: 4_000, dir, log, random: new SystemRandom() });
    const bytes = { byteLength: 700, pieces: [{ at: 0, bytes: new Uint8Array(700).fill(1) }] };
    const isHere = async (id: string) => (await store.read(id, 0, 700))?.byteLength === 700;
    for (let i = 0; i < 5; i++) store.put(`o${i}`, bytes);
    await store.spilled();
    expect(await readdir(dir)).toEqual(['o1']);
    expect(store.memoryBytes).toBe(3_500);
    store.delete('o0');
    store.put('o5', bytes);
    await store.spilled();
    expect(await readdir(dir)).toEqual([]);
    expect(logged).toHaveLength(1);
    store.delete('o2');
    store.put('o6', bytes);
    await store.spilled();
    expect(await readdir(dir)).not.toEqual([]);
    expect(store.memoryBytes).toBeLessThan(2_000);
    for (const id of ['o1', 'o3', 'o4', 'o5', 'o6']) expect(await isHere(id)).toBe(true);
    await store.close();
  });
});
