import { hash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Holdings, type HoldingsChange, type HoldingsPage, type Resync } from '../../../src/core/holdings.js';
import { packKeys } from '../../../src/core/key.js';
import { ANNOUNCE_INTERVAL_MS, COORDINATOR_REQUESTS, HOLDINGS_TIMEOUT_MS } from '../../../src/limits.js';

const key = (name: string | number) => hash('sha256', String(name));
const keys = (...names: (string | number)[]) => names.map(key);
const pack = (...names: (string | number)[]) => packKeys(keys(...names));

function change(
  seq: number,
  added: (string | number)[],
  removed: (string | number)[] = [],
  worker = 'w',
  incarnation = '1',
): HoldingsChange {
  return { worker, incarnation, seq, added: pack(...added), removed: pack(...removed) };
}
const page = (seq: number, names: (string | number)[], last = true): HoldingsPage => ({
  seq,
  keys: pack(...names),
  last,
});

/** An index of workers with these blocks. */
function holdingsOf(workers: Record<string, (string | number)[]>): Holdings {
  const holdings = new Holdings();
  for (const [worker, names] of Object.entries(workers))
    holdings.applyPage(holdings.beginSnapshot(worker, '1'), page(0, names));
  return holdings;
}

describe('the index of holdings', () => {
  it('counts the blocks with fewer than so many holders, through all changes', () => {
    const holdings = holdingsOf({ v: ['a', 'b'], w: ['a'], x: [] });
    const counts = () => [1, 2, 3, 4].map((holders) => holdings.countBelow(holders));
    expect([holdings.size, counts()]).toEqual([2, [0, 1, 2, 2]]);
    holdings.applyChange(change(1, ['b', 'c'], ['a']));
    expect([holdings.size, counts()]).toEqual([3, [0, 2, 3, 3]]);
    holdings.applyChange(change(1, ['b'], [], 'x'));
    expect(counts()).toEqual([0, 2, 2, 3]);
    holdings.drop('v');
    expect([holdings.size, counts()]).toEqual([2, [0, 1, 2, 2]]);
    for (const worker of ['w', 'x']) holdings.drop(worker);
    expect([holdings.size, counts()]).toEqual([0, [0, 0, 0, 0]]);
  });

  it('counts the blocks that would be lost with a worker, and says when it does not know them all', () => {
    const holdings = holdingsOf({ v: ['a', 'b'], w: ['a', 'c', 'd'], x: ['d'] });
    const last = (worker: string, seq: number, keeps: (other: string) => boolean = () => true) => {
      const counting = holdings.lastCopies(worker, seq, keeps);
      for (;;) {
        const { done, value } = counting.next();
        if (done === true) return value;
      }
    };
    expect([last('v', 0), last('w', 0), last('x', 0)]).toEqual([1, 1, 0]);
    // A copy on a worker that itself drains is no copy.
    expect(last('w', 0, (other) => other !== 'x')).toBe(2);
    expect(last('w', 1)).toBeNull();
    expect(last('y', 0)).toBeNull();
    holdings.applyChange(change(1, [], ['c']));
    expect(last('w', 1)).toBe(0);
    holdings.beginSnapshot('w', '1');
    expect(last('w', 1)).toBeNull();
  });

  it('counts nothing if the index of a worker begins anew meanwhile', () => {
    const many = Array.from({ length: 5_000 }, (_, i) => i);
    const holdings = holdingsOf({ w: many });
    const counting = holdings.lastCopies('w', 0, () => true);
    expect(counting.next().done).toBe(false);
    holdings.beginSnapshot('w', '1');
    expect(counting.next()).toEqual({ done: true, value: null });
  });

  it('knows the holders of a block from a snapshot and later changes', () => {
    const holdings = holdingsOf({ v: ['a'], w: ['a', 'b'] });
    expect(holdings.applyChange(change(1, ['c'], ['a']))).toBeNull();
    expect([holdings.holders(key('a')), holdings.holders(key('b')), holdings.holders(key('c'))]).toEqual([
      ['v'],
      ['w'],
      ['w'],
    ]);
    expect([holdings.keysOf('w'), holdings.keysOf('x'), holdings.size]).toEqual([2, null, 3]);
    holdings.drop('w');
    expect([holdings.holders(key('b')), holdings.size]).toEqual([[], 1]);
  });

  it('requests one snapshot of an unknown worker', () => {
    const holdings = new Holdings();
    expect(holdings.announced('w', '1', 0)).toEqual({ worker: 'w', incarnation: '1', snapshot: 1 });
    expect(holdings.announced('w', '1', 0)).toBeNull();
    expect(holdings.applyChange(change(1, ['a']))).toBeNull();
    expect(holdings.applyChange(change(1, ['a'], [], 'v'))).toMatchObject({ worker: 'v' });
    expect(holdings.applyChange(change(2, ['b'], [], 'v'))).toBeNull();
  });

  it('requests a snapshot when a change is missing', () => {
    const holdings = holdingsOf({ w: ['a'] });
    const resync = holdings.applyChange(change(2, ['b']));
    expect(resync).toMatchObject({ worker: 'w', incarnation: '1' });
    expect(holdings.holders(key('a'))).toEqual(['w']);
    holdings.applyPage(resync!, page(1, ['x']));
    expect([holdings.holders(key('a')), holdings.holders(key('x')), holdings.holders(key('b'))]).toEqual([
      [],
      ['w'],
      ['w'],
    ]);
    expect(holdings.applyChange(change(2, ['twice']))).toBeNull();
    expect(holdings.holders(key('twice'))).toEqual([]);
  });

  it('detects a lost change by the announced number, at the next announcement', () => {
    const holdings = holdingsOf({ w: [] });
    expect(holdings.announced('w', '1', 1)).toBeNull();
    holdings.applyChange(change(1, ['a']));
    expect(holdings.announced('w', '1', 2)).toBeNull();
    expect(holdings.announced('w', '1', 3)).toMatchObject({ worker: 'w' });
  });

  it('requests a stalled snapshot again, but not one that progresses', () => {
    const holdings = new Holdings();
    const resync = holdings.beginSnapshot('w', '1');
    const turns = HOLDINGS_TIMEOUT_MS / ANNOUNCE_INTERVAL_MS;
    for (let turn = 0; turn < turns; turn++) expect(holdings.announced('w', '1', 0)).toBeNull();
    holdings.applyPage(resync, page(0, ['a'], false));
    for (let turn = 0; turn < turns; turn++) expect(holdings.announced('w', '1', 0)).toBeNull();
    const again = Array.from({ length: 3 }, () => holdings.announced('w', '1', 0)).find((asked) => asked !== null);
    expect(again?.snapshot).toBeGreaterThan(resync.snapshot);
    expect(holdings.holders(key('a'))).toEqual(['w']);
  });

  it('drops the keys of an earlier incarnation and ignores its messages', () => {
    const holdings = holdingsOf({ w: ['a'] });
    const resync = holdings.announced('w', '2', 0)!;
    expect(holdings.holders(key('a'))).toEqual([]);
    expect(holdings.applyChange(change(1, ['b'], [], 'w', '1'))).toBeNull();
    holdings.applyPage(resync, page(0, ['c']));
    expect([holdings.holders(key('b')), holdings.holders(key('c'))]).toEqual([[], ['w']]);
  });

  it('ignores pages of a superseded snapshot', () => {
    const holdings = new Holdings();
    const old = holdings.beginSnapshot('w', '1');
    const fresh = holdings.beginSnapshot('w', '1');
    holdings.applyPage(old, page(0, ['old']));
    holdings.applyPage(fresh, page(0, ['fresh']));
    expect([holdings.holders(key('old')), holdings.holders(key('fresh'))]).toEqual([[], ['w']]);
  });

  it('applies newer changes again after an older page', () => {
    const holdings = new Holdings();
    const resync = holdings.beginSnapshot('w', '1');
    holdings.applyPage(resync, page(3, ['a'], false));
    holdings.applyChange(change(4, [], ['b']));
    holdings.applyPage(resync, page(3, ['b']));
    expect(holdings.holders(key('b'))).toEqual([]);
  });

  it('counts runs from the first block', () => {
    const holdings = holdingsOf({ v: [0, 1, 3], w: [0, 1, 2, 3], x: [1] });
    expect(holdings.longestRuns(keys(0, 1, 2, 3, 4))).toEqual(
      new Map([
        ['v', 2],
        ['w', 4],
      ]),
    );
    expect(holdings.longestRuns([])).toEqual(new Map());
  });

  it('combines the blocks of several workers, if included', () => {
    const holdings = holdingsOf({ v: [0, 1], w: [2, 3] });
    expect(holdings.coverage(keys(0, 1, 2, 3, 4))).toEqual({
      heldBlocks: 4,
      expectedBlocks: 4,
      workers: new Map([
        ['v', { heldRun: 2, expectedRun: 2, heldBlocks: 2 }],
        ['w', { heldRun: 0, expectedRun: 0, heldBlocks: 2 }],
      ]),
    });
    expect(holdings.coverage(keys(0, 1, 2, 3), (worker) => worker === 'w').heldBlocks).toBe(0);
  });

  it('counts promised blocks until the promise is settled or expires', () => {
    const holdings = holdingsOf({ v: [0] });
    const prompt = keys(0, 1, 2);
    holdings.promise('r1', 'w', prompt, 1_000);
    holdings.promise('r2', 'w', prompt, 2_000);
    expect(holdings.longestRuns(prompt)).toEqual(
      new Map([
        ['v', 1],
        ['w', 3],
      ]),
    );
    expect(holdings.coverage(prompt)).toMatchObject({ heldBlocks: 1, expectedBlocks: 3 });
    expect(holdings.holders(key(1))).toEqual([]);
    holdings.settle('r2');
    holdings.expire(999);
    expect(holdings.longestRuns(prompt).get('w')).toBe(3);
    holdings.expire(1_000);
    expect(holdings.longestRuns(prompt).get('w')).toBeUndefined();
    holdings.promise('r3', 'w', prompt, 2_000);
    holdings.drop('w');
    expect(holdings.longestRuns(prompt).get('w')).toBeUndefined();
  });

  it("limits promises to the number of a coordinator's requests", () => {
    const holdings = new Holdings();
    for (let i = 0; i <= COORDINATOR_REQUESTS; i++) holdings.promise(`r${i}`, 'w', keys(i), 1);
    expect(holdings.longestRuns(keys(0)).size).toBe(0);
    expect(holdings.longestRuns(keys(1)).size).toBe(1);
  });
});

describe('the index, with lost and late messages', () => {
  /** A worker that publishes changes over a lossy bus, and gives snapshots page by page. */
  class Worker {
    readonly held = new Set<number>();
    readonly bus: HoldingsChange[] = [];
    seq = 0;
    pages: { resync: Resync; pages: HoldingsPage[] } | null = null;
    toSnapshot: { resync: Resync; left: number[] } | null = null;

    set(name: number, lost: boolean): void {
      const removing = this.held.delete(name);
      if (!removing) this.held.add(name);
      const told = change(++this.seq, removing ? [] : [name], removing ? [name] : []);
      if (!lost) this.bus.push(told);
    }
    begin(resync: Resync): void {
      this.pages = { resync, pages: [] };
      this.toSnapshot = { resync, left: Array.from({ length: 9 }, (_, name) => name) };
    }
    /** Adds the next page to the snapshot: those of the next names that are held now. */
    write(names: number): void {
      if (this.toSnapshot === null) return;
      const now = this.toSnapshot.left.splice(0, names).filter((name) => this.held.has(name));
      const last = this.toSnapshot.left.length === 0;
      this.pages!.pages.push({ seq: this.seq, keys: pack(...now), last });
      if (last) this.toSnapshot = null;
    }
  }
  const action = fc.oneof(
    fc.record({
      do: fc.constant('set' as const),
      name: fc.integer({ min: 0, max: 8 }),
      lost: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    }),
    fc.record({ do: fc.constantFrom('deliver' as const, 'page' as const, 'announce' as const) }),
    fc.record({ do: fc.constant('write' as const), names: fc.integer({ min: 1, max: 5 }) }),
  );

  it('agrees with the worker once all messages have arrived', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
        const worker = new Worker();
        const holdings = new Holdings();
        const follow = (resync: Resync | null) => {
          if (resync !== null) worker.begin(resync);
        };
        const deliver = () => {
          const told = worker.bus.shift();
          if (told) follow(holdings.applyChange(told));
        };
        const turn = () => {
          const next = worker.pages?.pages.shift();
          if (next) follow(holdings.applyPage(worker.pages!.resync, next));
        };
        const announce = () => follow(holdings.announced('w', '1', worker.seq));
        for (const act of actions) {
          if (act.do === 'set') worker.set(act.name, act.lost);
          if (act.do === 'deliver') deliver();
          if (act.do === 'page') turn();
          if (act.do === 'announce') announce();
          if (act.do === 'write') worker.write(act.names);
        }
        for (let round = 0; round < 6; round++) {
          announce();
          while (worker.bus.length > 0) deliver();
          while (worker.toSnapshot !== null || (worker.pages?.pages.length ?? 0) > 0) {
            worker.write(4);
            turn();
          }
        }
        const known = Array.from({ length: 9 }, (_, name) => name).filter(
          (name) => holdings.holders(key(name)).length > 0,
        );
        expect(known).toEqual([...worker.held].sort());
        expect(holdings.keysOf('w')).toBe(worker.held.size);
        holdings.drop('w');
        expect(holdings.size).toBe(0);
      }),
      { numRuns: 500 },
    );
  });
});
