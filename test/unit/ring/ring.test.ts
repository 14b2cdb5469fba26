import { hash } from 'node:crypto';
import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { epochOf, type RingMember } from '../../../src/core/epoch.js';
import { Ring } from '../../../src/ring/ring.js';

const GiB = 2 ** 30;
const member = (id: string, weight = GiB): RingMember => ({ id, incarnation: `${id}-1`, weight });
const fleet = (size: number) => Array.from({ length: size }, (_, i) => member(`worker-${i}`));
const segments = Array.from({ length: 20_000 }, (_, i) => hash('sha256', `segment ${i}`));
const owners = (ring: Ring) => segments.map((segment) => ring.homes(segment, 1)[0]!);

function shares(ring: Ring): Map<string, number> {
  const counts = new Map<string, number>();
  for (const owner of owners(ring)) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  return counts;
}

const members = fc
  .uniqueArray(fc.record({ id: fc.string({ minLength: 1, maxLength: 8 }), weight: fc.integer({ min: 0, max: 9 }) }), {
    selector: (m) => m.id,
    maxLength: 12,
  })
  .map((list) => list.map(({ id, weight }) => member(id, weight)));

/** A ring that the package builds by itself, from the control points of each member. */
interface Package {
  add(node: string, count: number, points: readonly number[]): this;
  get(name: string, count: number): string[] | null;
}
const ConsistentHash = createRequire(import.meta.url)('consistent-hash') as new (o: { range: number }) => Package;

function builtByPackage(list: readonly RingMember[]): Package {
  const placed = list.filter(({ weight }) => weight > 0).sort((a, b) => (a.id < b.id ? -1 : 1));
  const average = placed.reduce((sum, { weight }) => sum + weight, 0) / placed.length;
  const ring = new ConsistentHash({ range: 2 ** 29 });
  for (const { id, weight } of placed) {
    const count = Math.min(2560, Math.max(8, Math.round((160 * weight) / average)));
    const points = Array.from({ length: count }, (_, i) => {
      const digest = Buffer.from(hash('sha256', `${id}#${Math.floor(i / 8)}`, 'hex'), 'hex');
      return digest.readUInt32BE(4 * (i % 8)) % 2 ** 29;
    });
    ring.add(id, points.length, points);
  }
  return ring;
}

describe('the ring', () => {
  it('is the one that the package builds, however many changes led to it', () => {
    // Few ids, so that members come, go, come back and change their weight.
    const id = fc.constantFrom('worker-124', 'worker-151', 'a', 'b', 'é', '\u{1F41F}', '');
    const list = fc
      .uniqueArray(fc.record({ id, weight: fc.integer({ min: 0, max: 9 }) }), { selector: (m) => m.id })
      .map((all) => all.map((one) => member(one.id, one.weight)));
    fc.assert(
      fc.property(fc.array(list, { minLength: 1, maxLength: 6 }), (steps) => {
        let ring: Ring | null = null;
        for (const step of steps) {
          ring = new Ring(step, ring);
          const [fresh, theirs] = [new Ring(step), builtByPackage(step)];
          expect(ring.epoch).toBe(fresh.epoch);
          expect(ring.members).toEqual(fresh.members);
          for (const segment of segments.slice(0, 40)) {
            const homes = ring.homes(segment, 3);
            expect(homes).toEqual(fresh.homes(segment, 3));
            if (ring.members.length > 0) expect(homes).toEqual(theirs.get(segment, Math.min(3, ring.members.length)));
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('leaves the ring before a change as it was', () => {
    const before = new Ring(fleet(5));
    const homes = segments.slice(0, 200).map((segment) => before.homes(segment, 3));
    new Ring(fleet(7).slice(1), before);
    expect(segments.slice(0, 200).map((segment) => before.homes(segment, 3))).toEqual(homes);
  });

  it('costs a worker that joins a fleet of 1,024 a fraction of a ring that is built afresh', () => {
    const [all, before] = [fleet(1024), new Ring(fleet(1023))];
    const timeOf = (act: () => Ring) => {
      const times = Array.from({ length: 5 }, () => {
        const startedMs = performance.now();
        act();
        return performance.now() - startedMs;
      });
      return Math.min(...times);
    };
    const joinedMs = timeOf(() => new Ring(all, before));
    expect(joinedMs).toBeLessThan(timeOf(() => new Ring(all)) / 3);
  });

  it('does not depend on the order of its members', () => {
    fc.assert(
      fc.property(
        members.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))),
        ([list, shuffled]) => {
          const [one, other] = [new Ring(list), new Ring(shuffled)];
          expect(other.epoch).toBe(one.epoch);
          for (const segment of segments.slice(0, 50)) expect(other.homes(segment, 3)).toEqual(one.homes(segment, 3));
        },
      ),
      { numRuns: 50 },
    );
  });

  it('is the same in every version and on every machine', () => {
    const ring = new Ring(fleet(3));
    expect(segments.slice(0, 4).map((segment) => ring.homes(segment, 2))).toMatchInlineSnapshot(`
      [
        [
          "worker-1",
          "worker-0",
        ],
        [
          "worker-0",
          "worker-1",
        ],
        [
          "worker-2",
          "worker-0",
        ],
        [
          "worker-2",
          "worker-1",
        ],
      ]
    `);
    expect(ring.epoch).toMatchInlineSnapshot(`"c8ed77b38ac9"`);
  });

  it('returns the requested number of distinct homes, or all members with points', () => {
    fc.assert(
      fc.property(members, fc.integer({ min: 0, max: 15 }), (list, count) => {
        const homes = new Ring(list).homes(segments[0]!, count);
        expect(new Set(homes).size).toBe(homes.length);
        expect(homes).toHaveLength(Math.min(count, list.filter((m) => m.weight > 0).length));
      }),
      { numRuns: 50 },
    );
  });

  it('returns a prefix of the longer list for a smaller count', () => {
    const ring = new Ring(fleet(5));
    for (const segment of segments.slice(0, 200))
      expect(ring.homes(segment, 5).slice(0, 2)).toEqual(ring.homes(segment, 2));
  });

  it.each([3, 5, 8, 13])('gives equal shares to %i workers of equal weight', (size) => {
    for (const count of shares(new Ring(fleet(size))).values())
      expect(count / (segments.length / size)).toBeLessThan(1.3);
  });

  it.each([3, 5, 8, 13])('moves only the share of the worker that leaves a ring of %i', (size) => {
    const before = owners(new Ring(fleet(size)));
    const after = owners(new Ring(fleet(size).slice(0, -1)));
    const moved = before.filter((owner, i) => owner !== after[i]);
    expect(new Set(moved)).toEqual(new Set([`worker-${size - 1}`]));
    expect(moved.length).toBeLessThanOrEqual((1.2 * segments.length) / size);
  });

  it('makes the second home the first when the first leaves', () => {
    const [before, after] = [new Ring(fleet(6)), new Ring(fleet(6).slice(1))];
    for (const segment of segments.slice(0, 500)) {
      const [first, second] = before.homes(segment, 2);
      expect(after.homes(segment, 1)).toEqual([first === 'worker-0' ? second : first]);
    }
  });

  it('gives a worker the same share when it returns with a new incarnation', () => {
    const returned = fleet(4).map((m, i) => (i === 2 ? { ...m, incarnation: 'later' } : m));
    expect(owners(new Ring(returned))).toEqual(owners(new Ring(fleet(4))));
    expect(new Ring(returned).epoch).not.toBe(new Ring(fleet(4)).epoch);
  });

  it('gives shares in proportion to weight', () => {
    const counts = shares(new Ring([member('small'), member('large', 3 * GiB), member('middle', 2 * GiB)]));
    expect(counts.get('large')! / segments.length).toBeCloseTo(3 / 6, 1);
    expect(counts.get('middle')! / segments.length).toBeCloseTo(2 / 6, 1);
    expect(counts.get('small')! / segments.length).toBeCloseTo(1 / 6, 1);
  });

  it('does not depend on the order of members even if two of them share a point', () => {
    // Both have a point at position 231336689.
    const [one, other] = [member('worker-124'), member('worker-151')];
    expect(owners(new Ring([one, other]))).toEqual(owners(new Ring([other, one])));
  });

  it('may be empty', () => {
    expect(new Ring([]).homes(segments[0]!, 2)).toEqual([]);
  });
});

describe('the epoch', () => {
  it('changes with id, incarnation and weight', () => {
    const base = member('a');
    const epochs = [
      [base],
      [{ ...base, id: 'b' }],
      [{ ...base, incarnation: 'x' }],
      [{ ...base, weight: 1 }],
      [],
      [base, member('b')],
    ].map(epochOf);
    expect(new Set(epochs).size).toBe(epochs.length);
    for (const epoch of epochs) expect(epoch).toMatch(/^[0-9a-f]{12}$/);
  });
});
