import { hash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Holdings } from '../../../src/core/holdings.js';
import { packKeys } from '../../../src/core/key.js';
import type { Load } from '../../../src/core/load.js';
import type { Member, MemberState } from '../../../src/core/member.js';
import { type PlacementRequest, place, ringBlock } from '../../../src/core/placement.js';

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
    contextReason: '--context',
    trial: null,
    address: { hostId: 'h', unixPath: null, tcpHost: null, tcpPort: null },
    fingerprint: 'f',
    budget: { device: 1, host: 0 },
    bytes: { device: 0, host: 0 },
    blocks: 0,
    blockBytes: 1_000_000,
    running: 0,
    waiting: 0,
    queuedTokens: 0,
    capacity: { contextTokens: 4096, sequences: 8, waiting: 256 },
    hitRate: 0,
    rates: RATES,
    computeAgeMs: null,
    disk: 'none',
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
    contextTokens: 2_000,
    blockTokens: BLOCK_TOKENS,
    coverage: coverage({}),
    members: ['a', 'b', 'c'].map((id) => member(id)),
    ringOrder: ['b', 'c', 'a'],
    loads: new Map(),
    excluded: new Set(),
    draw: 1,
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
    const loads = new Map([['a', { requests: 4, computeTokens: 0 }]]);
    expect(bestOf({ loads, coverage: coverage({ a: first(16) }) })).toMatchObject({
      worker: 'b',
      localBlocks: 0,
      remoteBlocks: 16,
      computeTokens: 32,
      sources: [{ worker: 'a', blocks: 16 }],
    });
  });

  it('spills because of requests just placed, before the worker announces them', () => {
    const loads = new Map<string, Load>([['b', { requests: 3, computeTokens: 2_000 }]]);
    expect(order({ loads })).toEqual(['c', 'a', 'b']);
  });

  it('chooses a worker whose queue is full only if the others are suspect', () => {
    const capacity = { contextTokens: 4096, sequences: 8, waiting: 4 };
    const members = [member('a', { capacity }), member('b'), member('c', { state: 'suspect' })];
    const loads = new Map([
      ['a', { requests: 12, computeTokens: 0 }],
      ['b', { requests: 60, computeTokens: 9_000 }],
    ]);
    expect(order({ members, loads, coverage: coverage({ a: first(16) }) })).toEqual(['b', 'a', 'c']);
  });

  it('leaves out workers whose context is too short for prompt and answer', () => {
    const small = { contextTokens: 1_999, sequences: 8, waiting: 256 };
    const members = [member('a'), member('b', { capacity: small }), member('c')];
    expect(order({ members, contextTokens: 2_000, coverage: coverage({ b: first(16) }) })).toEqual(['c', 'a']);
    expect(order({ members, contextTokens: 1_999, coverage: coverage({ b: first(16) }) })[0]).toBe('b');
    expect(order({ members, contextTokens: 5_000 })).toEqual([]);
  });

  it('combines blocks that several workers hold', () => {
    expect(bestOf({ coverage: coverage({ a: first(8), c: [8, 9, 10, 11, 12, 13, 14, 15] }) })).toMatchObject({
      localBlocks: 8,
      remoteBlocks: 8,
      computeTokens: 32,
    });
  });

  it('ignores blocks after a missing one', () => {
    expect(bestOf({ coverage: coverage({ a: [0, 1, 2, 3, 5, 6] }) })).toMatchObject({
      worker: 'a',
      localBlocks: 4,
      computeTokens: 1056 - 256,
    });
  });

  it('follows the ring, and fetches, where a worker holds less than a fifth of the prompt', () => {
    expect(bestOf({ coverage: coverage({ a: first(3) }) })).toMatchObject({
      worker: 'b',
      localBlocks: 0,
      remoteBlocks: 3,
      sources: [{ worker: 'a', blocks: 3 }],
    });
    expect(bestOf({ coverage: coverage({ a: first(4) }) })).toMatchObject({ worker: 'a', localBlocks: 4 });
    expect(bestOf({ promptTokens: 5 * BLOCK_TOKENS + 1, coverage: coverage({ a: first(1) }) }).worker).toBe('a');
  });

  it('places a prompt by the first block that nobody has or computes, or else by the last one', () => {
    expect(ringBlock(coverage({}), 16)).toBe(0);
    expect(ringBlock(coverage({ a: first(3) }), 16)).toBe(3);
    expect(ringBlock(coverage({ a: first(3) }, { b: first(9) }), 16)).toBe(9);
    expect(ringBlock(coverage({ a: first(16) }), 16)).toBe(15);
    expect(ringBlock(coverage({}), 0)).toBe(0);
  });

  it('computes blocks that take longer to fetch', () => {
    const slow = { ...RATES, fetchBytesPerMs: 1_000 };
    const members = [member('a', { rates: slow }), member('b', { rates: slow })];
    const loads = new Map([['a', { requests: 59, computeTokens: 0 }]]);
    expect(bestOf({ members, loads, coverage: coverage({ a: first(16) }) })).toMatchObject({
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
    const behind = new Map<string, Load>([['a', { requests: 1, computeTokens: 1056 }]]);
    expect(bestOf({ coverage: promised, loads: behind })).toMatchObject({
      worker: 'a',
      localBlocks: 16,
      awaits: null,
    });
    const crowded = new Map<string, Load>([['a', { requests: 40, computeTokens: 2_000 }]]);
    expect(bestOf({ coverage: promised, loads: crowded })).toMatchObject({
      worker: 'b',
      remoteBlocks: 16,
      computeTokens: 32,
      awaits: 'a',
      sources: [{ worker: 'a', blocks: 16 }],
    });
  });

  it('takes a worker without measurements for as fast as the fastest with that device', () => {
    const members = [
      member('a', { rates: NO_RATES }),
      member('b'),
      member('c', { rates: { ...RATES, computeMsPerToken: 7 } }),
    ];
    const costs = new Map(place(request({ members })).map(({ worker, costMs }) => [worker, costMs]));
    expect(costs.get('a')).toBe(costs.get('b'));
    expect(costs.get('c')).toBe(7 * costs.get('b')!);
    expect(place(request({ members: [member('a', { rates: NO_RATES })] }))[0]!.costMs).toBeGreaterThan(0);
  });

  it('chooses a suspect only if there is no other worker', () => {
    const members = [member('a', { state: 'suspect' }), member('b')];
    const loads = new Map([['b', { requests: 250, computeTokens: 100_000 }]]);
    expect(order({ members, loads, coverage: coverage({ a: first(16) }) })).toEqual(['b', 'a']);
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
      loads: fc
        .dictionary(
          fc.constantFrom(...ids),
          fc.record({ requests: fc.integer({ min: 0, max: 80 }), computeTokens: fc.integer({ min: 0, max: 5_000 }) }),
        )
        .map((byWorker) => new Map(Object.entries(byWorker))),
      draw: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
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

  it('chooses the holder of a fifth or more if all workers are idle and alike', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ids),
        fc.integer({ min: 4, max: 16 }),
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
        const { requests, computeTokens } = asked.loads.get(id) ?? { requests: 0, computeTokens: 0 };
        const loads = new Map(asked.loads).set(id, { requests: requests + more, computeTokens });
        expect(place({ ...asked, loads }).findIndex((candidate) => candidate.worker === id)).toBeGreaterThanOrEqual(
          before,
        );
      }),
    );
  });
});

describe('placement of a request with an adapter', () => {
  const adapter = { fingerprint: 'a'.repeat(64), bytes: 20_000_000 };
  const members = [member('w1'), member('w2', { adapters: [adapter.fingerprint] }), member('w3', { adapters: ['b'] })];

  it('prefers the workers that have it loaded, and any may load it', () => {
    const ranked = place(request({ members, ringOrder: ['w1', 'w3', 'w2'], adapter }));
    expect(ranked.map(({ worker }) => worker)).toEqual(['w2', 'w1', 'w3']);
    expect(place(request({ members, ringOrder: ['w1', 'w3', 'w2'] }))[0]!.worker).toBe('w1');
  });

  it('goes where the load costs less than the wait', () => {
    const loads = new Map([['w2', { requests: 8, computeTokens: 8_000 }]]);
    const ranked = place(request({ members, ringOrder: ['w1', 'w2', 'w3'], adapter, loads }));
    expect(ranked[0]!.worker).toBe('w1');
  });
});
