import { hash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Holdings } from '../../../src/core/holdings.js';
import { packKeys } from '../../../src/core/key.js';
import type { Member, MemberState } from '../../../src/core/member.js';
import { type PlacedLoad, type PlacementRequest, place } from '../../../src/core/placement.js';

const BLOCK_TOKENS = 64;
const prompt = Array.from({ length: 16 }, (_, i) => hash('sha256', `block ${i}`));
const NO_RATES = { computeMsPerToken: null, decodeMsPerStep: null, fetchBytesPerMs: null };
/** A block takes 64 ms to compute and 1 ms to fetch. */
const RATES = { computeMsPerToken: 1, decodeMsPerStep: 15, fetchBytesPerMs: 1_000_000 };

function member(id: string, over: Partial<Member> = {}): Member {
  return {
    id,
    generation: 0,
    incarnation: '1',
    refutation: 0,
    state: 'serving',
    pid: 1,
    host: 'h',
    device: 'cpu',
    deviceReason: 'cpu was asked for',
    address: { hostId: 'h', unixPath: null, tcpHost: null, tcpPort: null },
    fingerprint: 'f',
    budget: { device: 1, host: 0 },
    bytes: { device: 0, host: 0 },
    blocks: 0,
    blockBytes: 1_000_000,
    running: 0,
    waiting: 0,
    hitRate: 0,
    rates: RATES,
    holdingsSeq: 0,
    ...over,
  };
}

/** Coverage in which workers hold and have promised these blocks of the prompt. */
function coverage(held: Record<string, readonly number[]>, promised: Record<string, readonly number[]> = {}) {
  const holdings = new Holdings();
  for (const [worker, blocks] of Object.entries(held)) {
    const keys = packKeys(blocks.map((i) => prompt[i]!));
    holdings.applyPage(holdings.beginSnapshot(worker, '1'), { seq: 0, keys, last: true });
  }
  for (const [worker, blocks] of Object.entries(promised)) {
    holdings.promise(
      `of ${worker}`,
      worker,
      blocks.map((i) => prompt[i]!),
      1,
    );
  }
  return holdings.coverage(prompt);
}
const first = (count: number) => Array.from({ length: count }, (_, i) => i);

function request(over: Partial<PlacementRequest> = {}): PlacementRequest {
  return {
    promptTokens: 16 * BLOCK_TOKENS + 32,
    blockTokens: BLOCK_TOKENS,
    coverage: coverage({}),
    members: ['a', 'b', 'c'].map((id) => member(id)),
    ringOrder: ['b', 'c', 'a'],
    inFlight: new Map(),
    excluded: new Set(),
    ...over,
  };
}
const order = (over: Partial<PlacementRequest>) => place(request(over)).map((candidate) => candidate.worker);
const bestOf = (over: Partial<PlacementRequest>) => place(request(over))[0]!;

describe('placement', () => {
  it('follows the ring for an unknown prompt', () => {
    expect(order({})).toEqual(['b', 'c', 'a']);
    expect(bestOf({})).toMatchObject({
      worker: 'b',
      localBlocks: 0,
      remoteBlocks: 0,
      computeTokens: 1056,
      sources: [],
      awaits: null,
    });
  });

  it('treats measurements that differ by noise as equal', () => {
    const members = ['a', 'b', 'c'].map((id, i) => member(id, { rates: { ...RATES, computeMsPerToken: 1 + i / 100 } }));
    expect(order({ members, ringOrder: ['c', 'b', 'a'] })).toEqual(['c', 'b', 'a']);
  });

  it('prefers the worker that holds the prompt', () => {
    expect(bestOf({ coverage: coverage({ a: first(16) }) })).toMatchObject({
      worker: 'a',
      localBlocks: 16,
      remoteBlocks: 0,
      computeTokens: 32,
      costMs: 32,
    });
  });

  it('spills to the next worker on the ring, which fetches, when the holder is busy', () => {
    const members = [member('a', { running: 4 }), member('b'), member('c')];
    expect(bestOf({ members, coverage: coverage({ a: first(16) }) })).toMatchObject({
      worker: 'b',
      localBlocks: 0,
      remoteBlocks: 16,
      computeTokens: 32,
      sources: [{ worker: 'a', blocks: 16 }],
    });
  });

  it('spills because of requests just placed, before the worker announces them', () => {
    const inFlight = new Map<string, PlacedLoad>([['b', { requests: 3, computeTokens: 2_000 }]]);
    expect(order({ inFlight })).toEqual(['c', 'a', 'b']);
  });

  it('counts a request once if it was both placed here and announced by the worker', () => {
    const busy = [member('a', { running: 3 }), member('b', { running: 3 })];
    const inFlight = new Map<string, PlacedLoad>([['a', { requests: 3, computeTokens: 0 }]]);
    const [one, other] = place(request({ members: busy, inFlight }));
    expect(one!.costMs).toBe(other!.costMs);
  });

  it('combines blocks that several workers hold', () => {
    expect(bestOf({ coverage: coverage({ a: first(8), c: [8, 9, 10, 11, 12, 13, 14, 15] }) })).toMatchObject({
      localBlocks: 8,
      remoteBlocks: 8,
      computeTokens: 32,
    });
  });

  it('ignores blocks after a missing one', () => {
    expect(bestOf({ coverage: coverage({ a: [0, 1, 3, 4] }) })).toMatchObject({
      worker: 'a',
      localBlocks: 2,
      computeTokens: 1056 - 128,
    });
  });

  it('computes blocks that take longer to fetch', () => {
    const slow = { ...RATES, fetchBytesPerMs: 1_000 };
    const members = [member('a', { rates: slow, running: 50, waiting: 9 }), member('b', { rates: slow })];
    expect(bestOf({ members, coverage: coverage({ a: first(16) }) })).toMatchObject({
      worker: 'b',
      remoteBlocks: 0,
      computeTokens: 1056,
    });
  });

  it('leaves at least one token to compute', () => {
    expect(bestOf({ promptTokens: 16 * BLOCK_TOKENS, coverage: coverage({ a: first(16) }) })).toMatchObject({
      localBlocks: 15,
      computeTokens: BLOCK_TOKENS,
    });
    expect(bestOf({ promptTokens: 0 })).toMatchObject({ computeTokens: 0 });
  });

  it('sends requests to the worker that computes their prefix, and makes others wait for it rather than compute it too', () => {
    const promised = coverage({}, { a: first(16) });
    const behind = new Map<string, PlacedLoad>([['a', { requests: 1, computeTokens: 1056 }]]);
    expect(bestOf({ coverage: promised, inFlight: behind })).toMatchObject({
      worker: 'a',
      localBlocks: 16,
      awaits: null,
    });
    const crowded = new Map<string, PlacedLoad>([['a', { requests: 40, computeTokens: 2_000 }]]);
    expect(bestOf({ coverage: promised, inFlight: crowded })).toMatchObject({
      worker: 'b',
      remoteBlocks: 16,
      computeTokens: 32,
      awaits: 'a',
      sources: [{ worker: 'a', blocks: 16 }],
    });
  });

  it('assumes typical rates for a worker without measurements', () => {
    const members = [member('a', { rates: NO_RATES }), member('b', { rates: { ...RATES, computeMsPerToken: 7 } })];
    const [one, other] = place(request({ members }));
    expect(one!.costMs).toBe(other!.costMs);
    expect(place(request({ members: [member('a', { rates: NO_RATES })] }))[0]!.costMs).toBeGreaterThan(0);
  });

  it('chooses a suspect only if there is no other worker', () => {
    const members = [member('a', { state: 'suspect' }), member('b', { running: 200, waiting: 50 })];
    expect(order({ members, coverage: coverage({ a: first(16) }) })).toEqual(['b', 'a']);
  });

  it('is empty if no worker serves', () => {
    expect(place(request({ members: [member('a', { state: 'draining' })] }))).toEqual([]);
  });
});

describe('placement in any fleet', () => {
  const ids = ['a', 'b', 'c', 'd', 'e'];
  const rate = (min: number, max: number) => fc.option(fc.double({ min, max, noNaN: true }), { nil: null });
  const fleet = fc.tuple(
    ...ids.map((id) =>
      fc
        .record({
          state: fc.constantFrom<MemberState>(
            'starting',
            'serving',
            'serving',
            'serving',
            'draining',
            'suspect',
            'dead',
          ),
          running: fc.integer({ min: 0, max: 40 }),
          waiting: fc.integer({ min: 0, max: 40 }),
          rates: fc.record({
            computeMsPerToken: rate(0.01, 10),
            decodeMsPerStep: rate(1, 100),
            fetchBytesPerMs: rate(100, 1e7),
          }),
        })
        .map((over) => member(id, over)),
    ),
  );
  const blocks = fc.dictionary(
    fc.constantFrom(...ids),
    fc.uniqueArray(fc.integer({ min: 0, max: 15 }), { maxLength: 16 }),
  );
  const anyRequest = fc
    .record({
      members: fleet,
      promptTokens: fc.integer({ min: 0, max: 1100 }),
      ringOrder: fc.shuffledSubarray(ids),
      excluded: fc.subarray(ids).map((list) => new Set(list)),
      held: blocks,
      promised: blocks,
    })
    .map(({ held, promised, ...rest }) => request({ ...rest, coverage: coverage(held, promised) }));

  it('ranks exactly the serving workers that are not excluded, suspects last', () => {
    fc.assert(
      fc.property(anyRequest, (asked) => {
        const offered = place(asked).map(({ worker }) => asked.members.find((m) => m.id === worker)!);
        const eligible = asked.members.filter(
          (m) => ['serving', 'suspect'].includes(m.state) && !asked.excluded.has(m.id),
        );
        expect(new Set(offered)).toEqual(new Set(eligible));
        expect(offered).toHaveLength(eligible.length);
        const suspects = offered.map((m) => m.state === 'suspect');
        expect(suspects).toEqual([...suspects].sort());
      }),
    );
  });

  it('does not depend on the order of the members', () => {
    fc.assert(
      fc.property(anyRequest, (asked) => {
        expect(place({ ...asked, members: [...asked.members].reverse() })).toEqual(place(asked));
      }),
    );
  });

  it('adds up: every token of the prompt is local, remote or computed', () => {
    fc.assert(
      fc.property(anyRequest, (asked) => {
        for (const { localBlocks, remoteBlocks, computeTokens, costMs, worker, sources, awaits } of place(asked)) {
          expect((localBlocks + remoteBlocks) * BLOCK_TOKENS + computeTokens).toBe(asked.promptTokens);
          expect(Math.min(localBlocks, remoteBlocks, computeTokens, costMs)).toBeGreaterThanOrEqual(0);
          if (asked.promptTokens > 0) expect(computeTokens).toBeGreaterThan(0);
          expect(costMs).toBeLessThan(Number.POSITIVE_INFINITY);
          expect(sources.map((source) => source.worker)).not.toContain(worker);
          expect(awaits).not.toBe(worker);
        }
      }),
    );
  });

  it('chooses the holder if all workers are idle and alike', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ids),
        fc.integer({ min: 1, max: 16 }),
        fc.shuffledSubarray(ids, { minLength: 5 }),
        (holder, count, ringOrder) => {
          const members = ids.map((id) => member(id));
          expect(bestOf({ members, ringOrder, coverage: coverage({ [holder]: first(count) }) }).worker).toBe(holder);
        },
      ),
    );
  });

  it('never ranks a worker higher for being busier', () => {
    fc.assert(
      fc.property(anyRequest, fc.nat({ max: 4 }), fc.integer({ min: 1, max: 30 }), (asked, which, more) => {
        const { id } = asked.members[which]!;
        const before = place(asked).findIndex((candidate) => candidate.worker === id);
        const members = asked.members.map((m) => (m.id === id ? { ...m, waiting: m.waiting + more } : m));
        expect(place({ ...asked, members }).findIndex((candidate) => candidate.worker === id)).toBeGreaterThanOrEqual(
          before,
        );
      }),
    );
  });
});
