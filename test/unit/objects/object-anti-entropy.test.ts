import { afterEach, describe, expect, it } from 'vitest';
import type { WriteCondition } from '../../../src/objects/object.js';
import { type ObjectName, objectName } from '../../../src/objects/object-name.js';
import { ObjectValue } from '../../../src/objects/object-value.js';
import { RANGE_BUCKETS, RangeSummary } from '../../../src/objects/range-summary.js';
import { COMPARE_MS } from '../../../workers/objects/object-anti-entropy.js';
import type { ObjectStore } from '../../../workers/objects/object-store.js';
import { MiB, ObjectFleet } from './support/object-fleet.js';

const NEVER = new AbortController().signal;
const ALWAYS: WriteCondition = { kind: 'always' };
const named = (key: string): ObjectName => objectName('a', Buffer.from(key));

describe('a summary of a part of the ring', () => {
  const held = Array.from({ length: 200 }, (_, i) => ({ hash: named(`k${i}`).hash, version: { at: i, writer: 'w' } }));
  const of = (items: typeof held, part = { part: 0, parts: 1 }) => {
    const summary = new RangeSummary(part);
    for (const item of items) summary.add(item);
    return summary.digests;
  };

  it('does not depend on the order, and differs with any object and any version', () => {
    expect(of([...held].reverse()).equals(of(held))).toBe(true);
    expect(of(held.slice(1)).equals(of(held))).toBe(false);
    const newer = { ...held[0]!, version: { at: 1_000, writer: 'w' } };
    expect(of([newer, ...held.slice(1)]).equals(of(held))).toBe(false);
  });

  it('has each object in one of the parts', () => {
    for (const item of held) {
      const parts = Array.from({ length: 8 }, (_, part) => of([item], { part, parts: 8 }));
      expect(parts.filter((digests) => digests.some((byte) => byte !== 0))).toHaveLength(1);
    }
    expect(of(held)).toHaveLength(8 * RANGE_BUCKETS);
  });
});

describe('anti-entropy between the homes of objects', () => {
  let fleet = new ObjectFleet(2);
  afterEach(() => fleet.stop());

  const startFleet = async (ids: string[], budget = 64 * MiB) => {
    fleet = new ObjectFleet(2, budget);
    fleet.start(...ids);
    await fleet.settle();
  };

  const put = async (name: ObjectName, bytes = 10) => {
    const value = ObjectValue.of(Buffer.alloc(bytes));
    const options = { contentType: null, fields: {}, expiry: { kind: 'never' }, condition: ALWAYS } as const;
    await fleet.run(fleet.gateway().put(name, value, options, NEVER));
    value.release();
  };

  const storeOf = (id: string): ObjectStore => fleet.workers.get(id)!.objects.store;

  /** Passes time until something holds, or long enough for some comparisons with each. */
  const untilCompared = async (holds: () => boolean = () => false) => {
    for (let i = 0; i < 12 && !holds(); i++) await fleet.clock.advance(COMPARE_MS);
  };

  it('brings back copies that a home has lost', async () => {
    await startFleet(['w1', 'w2', 'w3']);
    const names = Array.from({ length: 40 }, (_, i) => named(`k${i}`));
    for (const name of names) await put(name);
    for (const { hash } of names) storeOf(fleet.homes(hash)[1]!).moved(hash);
    const whole = () => names.every(({ hash }) => fleet.holders(hash).length === 2);
    expect(whole()).toBe(false);
    await untilCompared(whole);
    for (const { hash } of names) expect(fleet.holders(hash).sort()).toEqual([...fleet.homes(hash)].sort());
  });

  it('tells a home of a deletion and of a newer value that it has missed', async () => {
    await startFleet(['w1', 'w2', 'w3']);
    const [deleted, replaced] = [named('deleted'), named('replaced')];
    for (const name of [deleted, replaced]) await put(name);
    const later = (name: ObjectName) => {
      const { info, value } = storeOf(fleet.homes(name.hash)[0]!).get(name.hash)!;
      return { info: { ...info, version: { ...info.version, at: info.version.at + 1 } }, value };
    };
    storeOf(fleet.homes(deleted.hash)[0]!).delete(deleted, later(deleted).info.version);
    const { info, value } = later(replaced);
    const store = storeOf(fleet.homes(replaced.hash)[0]!);
    store.retime(replaced, { ...info.version, at: info.version.at - 1 }, { ...info, contentType: null });
    expect(value.unread).toBe(true);
    await untilCompared();
    expect(fleet.holders(deleted.hash)).toEqual([]);
    for (const home of fleet.homes(replaced.hash))
      expect(storeOf(home).get(replaced.hash)!.info.version).toEqual(info.version);
  });

  it('evicts nothing for copies that another home has not', async () => {
    await startFleet(['w1', 'w2'], 2 * MiB);
    const fill = (id: string) => {
      const names = [1, 2, 3].map((i) => named(`${id}-${i}`));
      for (const [i, name] of names.entries()) {
        const value = ObjectValue.of(Buffer.alloc(MiB / 2));
        const about = { bytes: value.bytes, contentType: null, fields: {} };
        const info = {
          ...about,
          version: { at: i + 1, writer: id },
          digest: value.digest,
          expiresAtMs: null,
          token: '',
        };
        storeOf(id).put(name, info, value, storeOf(id).reserve(name, about)!);
      }
      return names;
    };
    const [first, second] = [fill('w1'), fill('w2')];
    await untilCompared();
    for (const { hash } of first) expect(fleet.holders(hash)).toEqual(['w1']);
    for (const { hash } of second) expect(fleet.holders(hash)).toEqual(['w2']);
    storeOf('w2').moved(second[0]!.hash);
    await untilCompared(() => storeOf('w2').objects === 3);
    expect(storeOf('w2').objects).toBe(3);
    expect(first.filter(({ hash }) => storeOf('w2').has(hash))).toHaveLength(1);
  });
});
