import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { Overloaded, Unavailable } from '../../../src/errors.js';
import type { FleetObjects } from '../../../src/objects/fleet-objects.js';
import type { Expiry, WriteCondition } from '../../../src/objects/object.js';
import { wholeValue } from '../../../src/objects/object-body.js';
import { type ObjectName, objectName } from '../../../src/objects/object-name.js';
import { ObjectValue } from '../../../src/objects/object-value.js';
import { ReadFloors } from '../../../src/objects/read-floors.js';
import { MiB, ObjectFleet } from './support/object-fleet.js';

const NEVER = new AbortController().signal;
const ALWAYS: WriteCondition = { kind: 'always' };
const FOREVER: Expiry = { kind: 'never' };

const named = (key: string, space = 'a'): ObjectName => objectName(space, Buffer.from(key));

async function put(objects: FleetObjects, name: ObjectName, text: string, condition = ALWAYS, expiry = FOREVER) {
  const value = ObjectValue.of(Buffer.from(text));
  try {
    return await objects.put(name, value, { contentType: null, fields: {}, expiry, condition }, NEVER);
  } finally {
    value.release();
  }
}

async function get(fleet: ObjectFleet, objects: FleetObjects, name: ObjectName, floors = new ReadFloors(fleet.clock)) {
  const read = await objects.get(name, { floors }, NEVER);
  if (read.type === 'absent') return null;
  const value = await wholeValue(read);
  const text = value.copy().toString();
  value.release();
  return text;
}

describe('the objects of a fleet', () => {
  let fleet = new ObjectFleet(2);
  afterEach(() => fleet.stop());

  const startFleet = async (replicas: number, ids: string[], budget = 64 * MiB) => {
    fleet = new ObjectFleet(replicas, budget);
    fleet.start(...ids);
    await fleet.settle();
    return fleet.gateway();
  };

  it('gives back what was written, through a process that is no worker and through each worker', async () => {
    const objects = await startFleet(2, ['w1', 'w2', 'w3']);
    const text = 'x'.repeat(3 * MiB + 5);
    await fleet.run(put(objects, named('k'), text));
    expect(fleet.holders(named('k').hash).sort()).toEqual([...fleet.homes(named('k').hash)].sort());
    for (const at of [null, 'w1', 'w2', 'w3'])
      expect(await fleet.run(get(fleet, fleet.gateway(at), named('k')))).toBe(text);
  });

  it('separates spaces', async () => {
    const objects = await startFleet(2, ['w1', 'w2']);
    await fleet.run(put(objects, named('k', 'a'), '1'));
    expect(await fleet.run(get(fleet, objects, named('k', 'b')))).toBeNull();
  });

  it('writes only if the condition holds', async () => {
    const objects = await startFleet(2, ['w1', 'w2', 'w3']);
    const absent: WriteCondition = { kind: 'absent' };
    expect(await fleet.run(put(objects, named('k'), '1', { kind: 'present' }))).toMatchObject({ type: 'unmet' });
    expect(await fleet.run(put(objects, named('k'), '1', absent))).toMatchObject({ type: 'written' });
    expect(await fleet.run(put(objects, named('k'), '2', absent))).toMatchObject({ type: 'unmet' });
    expect(await fleet.run(get(fleet, objects, named('k')))).toBe('1');
  });

  it('lets one of many that write at once have the object', async () => {
    await startFleet(2, ['w1', 'w2', 'w3']);
    const gateways = Array.from({ length: 12 }, (_, i) => fleet.gateway(['w1', 'w2', 'w3', null][i % 4]));
    const outcomes = await fleet.run(
      Promise.all(gateways.map((objects, i) => put(objects, named('lock'), String(i), { kind: 'absent' }))),
    );
    expect(outcomes.filter(({ type }) => type === 'written')).toHaveLength(1);
  });

  it('forgets an object at its time, and keeps its time if told so', async () => {
    const objects = await startFleet(2, ['w1', 'w2', 'w3']);
    const atMs = fleet.wallMs + 5_000;
    await fleet.run(put(objects, named('k'), '1', ALWAYS, { kind: 'at', atMs }));
    await fleet.run(put(objects, named('k'), '2', ALWAYS, { kind: 'keep' }));
    expect((await fleet.run(objects.look([named('k')], NEVER)))[0]?.expiresAtMs).toBe(atMs);
    await fleet.clock.advance(6_000);
    expect(await fleet.run(get(fleet, objects, named('k')))).toBeNull();
    expect(fleet.holders(named('k').hash)).toEqual([]);
  });

  it('retimes an object on all its homes, also on one that lacks its bytes', async () => {
    const objects = await startFleet(2, ['w1', 'w2', 'w3']);
    const name = named('k');
    await fleet.run(put(objects, name, '1'));
    const [, second] = fleet.homes(name.hash);
    fleet.workers.get(second!)!.objects.store.moved(name.hash);
    const atMs = fleet.wallMs + 60_000;
    await fleet.run(objects.retime(name, { kind: 'at', atMs }, ALWAYS, NEVER));
    for (const home of fleet.homes(name.hash))
      expect(fleet.workers.get(home)!.objects.store.get(name.hash)?.info.expiresAtMs).toBe(atMs);
  });

  it('does not bring a deleted object back when an old copy returns', async () => {
    const objects = await startFleet(2, ['w1', 'w2', 'w3']);
    const name = named('k');
    await fleet.run(put(objects, name, '1'));
    const [first, second] = fleet.homes(name.hash) as [string, string];
    // The second home takes nothing while the object is deleted.
    fleet.cut.add(`${first}>${second}`);
    await fleet.run(objects.remove(name, ALWAYS, NEVER).catch(() => null));
    fleet.cut.clear();
    await fleet.settle();
    expect(fleet.holders(name.hash)).toEqual([]);
    expect(await fleet.run(get(fleet, objects, name))).toBeNull();
  });

  it('keeps what is acknowledged when a worker dies, and has R copies again afterwards', async () => {
    const objects = await startFleet(2, ['w1', 'w2', 'w3', 'w4']);
    const names = Array.from({ length: 60 }, (_, i) => named(`k${i}`));
    for (const name of names) await fleet.run(put(objects, name, name.hash));
    fleet.crash('w2');
    for (const name of names) expect(await fleet.run(get(fleet, objects, name))).toBe(name.hash);
    fleet.bury('w2');
    for (const name of names) expect(await fleet.run(get(fleet, objects, name))).toBe(name.hash);
    await fleet.settle();
    for (const name of names) expect(fleet.holders(name.hash).sort()).toEqual([...fleet.homes(name.hash)].sort());
    fleet.crash('w1');
    for (const name of names) expect(await fleet.run(get(fleet, objects, name))).toBe(name.hash);
  });

  it('hands objects over to a worker that joins, which asks others until it has them', async () => {
    const objects = await startFleet(1, ['w1', 'w2']);
    const names = Array.from({ length: 50 }, (_, i) => named(`k${i}`));
    for (const name of names) await fleet.run(put(objects, name, name.hash));
    fleet.start('w3');
    const joined = fleet.gateway();
    const found = await fleet.run(Promise.all(names.map((name) => get(fleet, joined, name))));
    expect(found).toEqual(names.map(({ hash }) => hash));
    await fleet.settle();
    for (const name of names) expect(fleet.holders(name.hash)).toEqual(fleet.homes(name.hash));
    expect(names.filter(({ hash }) => fleet.homes(hash)[0] === 'w3').length).toBeGreaterThan(5);
  });

  it.each([
    ['has failed', 30],
    ['does not answer', 4_000],
  ])('goes on when the next home leaves while the first one %s', async (state, latencyMs) => {
    const objects = await startFleet(2, ['w1', 'w2', 'w3']);
    const name = named('k');
    await fleet.run(put(objects, name, '1'));
    const [first, second] = fleet.homes(name.hash) as [string, string];
    fleet.latencyMs = latencyMs;
    if (state === 'has failed') fleet.cut.add(`gateway>${first}`);
    const reading = get(fleet, objects, name);
    // The first home has been asked.
    await fleet.clock.advance(0);
    fleet.bury(second);
    expect(await fleet.run(reading)).toBe('1');
  });

  it('says of an object whose first home fails or does not answer that it is elsewhere, so that its bytes are read', async () => {
    const objects = await startFleet(2, ['w1', 'w2', 'w3']);
    const name = named('k');
    await fleet.run(put(objects, name, '1'));
    const [first] = fleet.homes(name.hash) as [string];
    expect(await fleet.run(objects.share(named('other'), 'host', NEVER))).toEqual({ type: 'absent' });
    expect(await fleet.run(objects.share(name, 'host', NEVER))).toEqual({ type: 'elsewhere' });
    fleet.cut.add(`gateway>${first}`);
    expect(await fleet.run(objects.share(name, 'host', NEVER))).toEqual({ type: 'elsewhere' });
    fleet.cut.clear();
    fleet.latencyMs = 4_000;
    expect(await fleet.run(objects.share(name, 'host', NEVER))).toEqual({ type: 'elsewhere' });
  });

  it('leaves no failure unhandled when one of all workers cannot be reached', async () => {
    await startFleet(2, ['w1', 'w2']);
    fleet.cut.add('gateway>w1');
    await expect(fleet.run(fleet.gateway(null, ['w2']).count('a', NEVER))).rejects.toThrow(Unavailable);
  });

  it('writes over a version of a worker whose clock is ahead', async () => {
    const objects = await startFleet(2, ['w1', 'w2', 'w3']);
    const name = named('k');
    const [first] = fleet.homes(name.hash) as [string];
    fleet.skewMs.set(first, 3_600_000);
    await fleet.run(put(objects, name, 'ahead'));
    fleet.crash(first);
    await fleet.run(put(objects, name, 'behind'));
    fleet.bury(first);
    await fleet.settle();
    expect(await fleet.run(get(fleet, objects, name))).toBe('behind');
  });

  it('refuses a value that has no room, and keeps every budget', async () => {
    const objects = await startFleet(2, ['w1', 'w2', 'w3'], 2 * MiB);
    await expect(fleet.run(put(objects, named('big'), 'x'.repeat(3 * MiB)))).rejects.toThrow(Overloaded);
    for (let i = 0; i < 30; i++) {
      await fleet.run(put(objects, named(`k${i}`), 'y'.repeat(MiB / 2)));
      for (const { objects: of } of fleet.workers.values()) expect(of.store.bytes).toBeLessThanOrEqual(2 * MiB);
    }
    expect(await fleet.run(get(fleet, objects, named('k29')))).toHaveLength(MiB / 2);
  });

  it('lists all names of a space once, page by page, counts them and flushes them', async () => {
    const objects = await startFleet(2, ['w1', 'w2', 'w3']);
    for (let i = 0; i < 300; i++) await fleet.run(put(objects, named(`k${i}`), '1'));
    await fleet.run(put(objects, named('other', 'b'), '1'));
    const keys: string[] = [];
    for (let at: number | null = 0; at !== null; ) {
      const page: Awaited<ReturnType<FleetObjects['list']>> = await fleet.run(objects.list('a', at, 10, NEVER));
      keys.push(...page.keys.map(String));
      at = page.next;
    }
    expect(keys.length).toBe(300);
    expect(new Set(keys).size).toBe(300);
    expect(await fleet.run(objects.count('a', NEVER))).toBe(300);
    await fleet.run(objects.flush('a', NEVER));
    expect(await fleet.run(objects.count('a', NEVER))).toBe(0);
    expect(await fleet.run(get(fleet, objects, named('other', 'b')))).toBe('1');
  });

  it('never loses or goes back behind an acknowledged write, whatever dies and joins', async () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), key: fc.nat(4), via: fc.nat(4) }) },
      { weight: 6, arbitrary: fc.record({ do: fc.constant('get' as const), key: fc.nat(4), via: fc.nat(4) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), key: fc.nat(4), via: fc.nat(4) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('die' as const), worker: fc.nat(9) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('join' as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.nat(1_000), async (steps, seed) => {
        fleet = new ObjectFleet(2, 64 * MiB, seed);
        fleet.start('w0', 'w1', 'w2');
        const gateways = Array.from({ length: 5 }, () => fleet.gateway());
        const acknowledged = new Map<number, string | null>();
        let born = 3;
        let dying: string | null = null;
        for (const [i, each] of steps.entries()) {
          if (each.do === 'put') {
            await fleet.run(put(gateways[each.via]!, named(`k${each.key}`), String(i)));
            acknowledged.set(each.key, String(i));
          } else if (each.do === 'delete') {
            await fleet.run(gateways[each.via]!.remove(named(`k${each.key}`), ALWAYS, NEVER));
            acknowledged.set(each.key, null);
          } else if (each.do === 'get') {
            const found = await fleet.run(get(fleet, gateways[each.via]!, named(`k${each.key}`)));
            expect(found).toBe(acknowledged.get(each.key) ?? null);
          } else if (each.do === 'join') {
            fleet.start(`w${born++}`);
          } else if (dying !== null) {
            fleet.bury(dying);
            dying = null;
          } else if (fleet.workers.size > 2) {
            await fleet.settle();
            dying = [...fleet.workers.keys()][each.worker % fleet.workers.size]!;
            fleet.crash(dying);
          }
        }
        if (dying !== null) fleet.bury(dying);
        await fleet.settle();
        for (const [key, value] of acknowledged) {
          expect(await fleet.run(get(fleet, fleet.gateway(), named(`k${key}`)))).toBe(value);
        }
        fleet.stop();
      }),
      { numRuns: 60 },
    );
  });
});
