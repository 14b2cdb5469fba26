import { hash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SealedBlock } from '../../../src/core/block.js';
import type { RingMember } from '../../../src/core/epoch.js';
import { pushesOf, ringChange, roleOf } from '../../../src/core/replication.js';
import { Ring } from '../../../src/ring/ring.js';

const REPLICAS = 2;
const block = (segment: string, index: number): SealedBlock => ({
  key: `${segment}/${index}`,
  parent: null,
  index,
  segment,
  digest: '0'.repeat(16),
});
const homesIn = (table: Record<string, string[]>) => (segment: string) => table[segment] ?? [];

describe('replication', () => {
  it('pushes new blocks to their other homes, a segment at a time and in order', () => {
    const blocks = [block('s', 1), block('t', 8), block('s', 0)];
    expect(pushesOf(blocks, 'a', homesIn({ s: ['a', 'b'], t: ['c', 'd'] }))).toEqual([
      { to: 'b', segment: 's', blocks: [block('s', 0), block('s', 1)] },
      { to: 'c', segment: 't', blocks: [block('t', 8)] },
      { to: 'd', segment: 't', blocks: [block('t', 8)] },
    ]);
  });

  it('knows duty from courtesy', () => {
    const homesOf = homesIn({ s: ['a', 'b'] });
    expect([roleOf(block('s', 0), 'b', homesOf), roleOf(block('s', 0), 'c', homesOf)]).toEqual(['home', 'guest']);
  });
});

describe('another ring', () => {
  const everybody = () => true;
  const before = homesIn({ s: ['a', 'b'] });

  it('has the first home that is left give a new one its copies', () => {
    const after = homesIn({ s: ['b', 'c'] });
    const present = (worker: string) => worker !== 'a';
    expect(ringChange([block('s', 0)], 'b', before, after, present)).toEqual({
      roles: [],
      pushes: [{ to: 'c', segment: 's', blocks: [block('s', 0)] }],
    });
    expect(ringChange([block('s', 0)], 'd', before, after, present)).toEqual({ roles: [], pushes: [] });
  });

  it('makes a guest of a home and a home of a guest', () => {
    const after = homesIn({ s: ['c', 'a'] });
    expect(ringChange([block('s', 0)], 'b', before, after, everybody).roles).toEqual([{ key: 's/0', role: 'guest' }]);
    expect(ringChange([block('s', 0)], 'c', before, after, everybody)).toEqual({
      roles: [{ key: 's/0', role: 'home' }],
      pushes: [],
    });
  });

  it('lets anybody with a copy give it when no old home is left', () => {
    const after = homesIn({ s: ['c', 'd'] });
    const present = (worker: string) => worker !== 'a' && worker !== 'b';
    expect(ringChange([block('s', 0)], 'e', before, after, present).pushes.map((push) => push.to)).toEqual(['c', 'd']);
  });

  it('has a worker that drains hand over what it alone was home of', () => {
    const after = homesIn({ s: ['b', 'c'] });
    for (const present of [everybody, (worker: string) => worker !== 'a']) {
      expect(ringChange([block('s', 0)], 'a', before, after, present)).toEqual({
        roles: [{ key: 's/0', role: 'guest' }],
        pushes: [{ to: 'c', segment: 's', blocks: [block('s', 0)] }],
      });
    }
  });

  it('leaves every block at all its homes after up to R - 1 workers died and any number joined', () => {
    const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
    const ringOf = (list: readonly string[]) =>
      new Ring(list.map((id): RingMember => ({ id, incarnation: '1', weight: 1 })));
    fc.assert(
      fc.property(fc.subarray(ids, { minLength: 3 }), fc.subarray(ids), fc.nat(), (members, joining, victim) => {
        const dead = members[victim % members.length]!;
        const next = [...new Set([...members, ...joining])].filter((id) => id !== dead);
        const [old, fresh] = [ringOf(members), ringOf(next)];
        const homesBefore = (segment: string) => old.homes(segment, REPLICAS);
        const homesAfter = (segment: string) => fresh.homes(segment, REPLICAS);
        const blocks = Array.from({ length: 30 }, (_, i) => block(hash('sha256', `${i}`), 0));
        const at = new Map(next.map((id) => [id, new Set(blocks.filter((b) => homesBefore(b.segment).includes(id)))]));
        let given = 0;
        for (const id of next.filter((other) => members.includes(other))) {
          const held = [...at.get(id)!].filter((b) => homesBefore(b.segment).includes(id));
          for (const push of ringChange(held, id, homesBefore, homesAfter, (other) => next.includes(other)).pushes) {
            for (const b of push.blocks) {
              expect(at.get(push.to)!.has(b)).toBe(false);
              at.get(push.to)!.add(b);
              given++;
            }
          }
        }
        let entering = 0;
        for (const b of blocks) {
          for (const home of homesAfter(b.segment)) {
            expect(at.get(home)!.has(b)).toBe(true);
            if (!homesBefore(b.segment).includes(home)) entering++;
          }
        }
        expect(given).toBe(entering);
      }),
      { numRuns: 50 },
    );
  });
});
