import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ObjectResidency, type Resident } from '../../../src/objects/residency.js';

interface Item extends Resident {
  read: boolean;
}

function item(hash: string, tenant: string, bytes: number): Item {
  const made: Item = {
    hash,
    tenant,
    bytes,
    expiresAtMs: null,
    heapIndex: -1,
    read: false,
    evictable: () => !made.read,
  };
  return made;
}

/** Keeps an object if there is room. Gives the hashes of those that went for it; null if there is none. */
function keep(residency: ObjectResidency<Item>, made: Item): string[] | null {
  const gone = residency.reserve(made.tenant, made.bytes);
  if (gone === null) return null;
  residency.admit(made);
  return gone.map(({ hash }) => hash);
}

describe('objects of several tenants in one budget', () => {
  it('lets a tenant alone have everything, and its least recently used objects go first', () => {
    const residency = new ObjectResidency<Item>(100);
    for (let i = 0; i < 10; i++) expect(keep(residency, item(`a${i}`, 'a', 10))).toEqual([]);
    residency.touch(residency.get('a0')!);
    expect(keep(residency, item('a10', 'a', 20))).toEqual(['a1', 'a2']);
  });

  it('takes room from the tenant that has the most', () => {
    const residency = new ObjectResidency<Item>(100);
    expect(keep(residency, item('b0', 'b', 20))).toEqual([]);
    for (let i = 0; i < 8; i++) expect(keep(residency, item(`a${i}`, 'a', 10))).toEqual([]);
    expect(keep(residency, item('a8', 'a', 10))).toEqual(['a0']);
    expect(keep(residency, item('c0', 'c', 30))).toEqual(['a1', 'a2', 'a3']);
    expect(keep(residency, item('c1', 'c', 30))).toEqual(['c0']);
    expect(residency.get('b0')).toBeDefined();
  });

  it('refuses what would be more than the share of a tenant among others, and nothing goes', () => {
    const residency = new ObjectResidency<Item>(100);
    for (const tenant of ['a', 'b']) for (let i = 0; i < 5; i++) keep(residency, item(`${tenant}${i}`, tenant, 10));
    expect(keep(residency, item('c', 'c', 60))).toBeNull();
    expect(residency.size).toBe(10);
    expect(keep(residency, item('c', 'c', 30))).toHaveLength(3);
  });

  it('passes over a tenant whose objects are all being read', () => {
    const residency = new ObjectResidency<Item>(100);
    for (const tenant of ['a', 'b']) for (let i = 0; i < 5; i++) keep(residency, item(`${tenant}${i}`, tenant, 10));
    for (let i = 0; i < 5; i++) residency.get(`a${i}`)!.read = true;
    expect(keep(residency, item('c', 'c', 20))).toEqual(['b0', 'b1']);
  });

  it('counts values on their way in, and those that are gone but still read, to their tenant', () => {
    const residency = new ObjectResidency<Item>(100);
    keep(residency, item('a', 'a', 30));
    keep(residency, item('b', 'b', 40));
    expect(residency.reserve('a', 30)).toEqual([]);
    // With the reservation, a has 60.
    expect(keep(residency, item('c', 'c', 10))).toEqual(['a']);
    residency.free('a', 30);
    expect(residency.bytes).toBe(50);
  });

  it('never takes an object from a tenant that has no more than its share, for another one', () => {
    const write = fc.record({ tenant: fc.constantFrom('a', 'b', 'c', 'd'), bytes: fc.integer({ min: 1, max: 60 }) });
    fc.assert(
      fc.property(fc.array(write, { maxLength: 200 }), (writes) => {
        const residency = new ObjectResidency<Item>(100);
        const use = new Map<string, number>();
        const kept = new Map<string, Item>();
        for (const [index, { tenant, bytes }] of writes.entries()) {
          const made = item(String(index), tenant, bytes);
          const before = new Map(use);
          const gone = keep(residency, made);
          if (gone === null) {
            expect((use.get(tenant) ?? 0) + bytes).toBeGreaterThan(100 / 4);
            continue;
          }
          kept.set(made.hash, made);
          use.set(tenant, (use.get(tenant) ?? 0) + bytes);
          for (const hash of gone) {
            const lost = kept.get(hash)!;
            kept.delete(hash);
            use.set(lost.tenant, use.get(lost.tenant)! - lost.bytes);
            if (lost.tenant !== tenant) expect(before.get(lost.tenant)!).toBeGreaterThan(100 / 4);
          }
          expect(residency.bytes).toBe([...kept.values()].reduce((sum, each) => sum + each.bytes, 0));
          expect(residency.bytes).toBeLessThanOrEqual(100);
        }
      }),
    );
  });
});
