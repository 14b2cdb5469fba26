import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BlockMeta } from '../../../src/core/block.js';
import { type FetchRequest, patienceMs, planFetch, worthWaiting } from '../../../src/core/fetch-plan.js';

const SEGMENT = 8;
const blocks = Array.from({ length: 32 }, (_, index): BlockMeta => {
  const segment = `block ${index - (index % SEGMENT)}`;
  return { key: `block ${index}`, parent: index === 0 ? null : `block ${index - 1}`, index, segment };
});

/** A block takes 64 ms to compute and 1 ms to fetch. */
function request(over: Partial<FetchRequest> = {}): FetchRequest {
  return {
    policy: 'cheapest',
    wanted: blocks.slice(0, 16),
    hints: [],
    homesOf: () => [],
    reachable: (worker) => worker !== 'self',
    fetchBytesPerMs: () => 1_000_000,
    computeMsPerToken: 1,
    blockTokens: 64,
    blockBytes: 1_000_000,
    ...over,
  };
}
/** Each part as `from: first block-last block`. */
const outline = (over: Partial<FetchRequest>) =>
  planFetch(request(over)).parts.map((part) => `${part.from}: ${part.blocks[0]!.index}-${part.blocks.at(-1)!.index}`);

describe('a fetch plan', () => {
  it('asks the hinted workers for the blocks they have', () => {
    expect(outline({ hints: [{ worker: 'a', blocks: 11 }] })).toEqual(['a: 0-10']);
  });

  it('spreads segments over holders, and keeps each segment together', () => {
    const hints = ['a', 'b'].map((worker) => ({ worker, blocks: 32 }));
    expect(outline({ wanted: blocks, hints })).toEqual(['a: 0-7', 'b: 8-15', 'a: 16-23', 'b: 24-31']);
  });

  it('takes more from the faster worker', () => {
    const hints = ['a', 'b'].map((worker) => ({ worker, blocks: 32 }));
    const fetchBytesPerMs = (worker: string) => (worker === 'a' ? 100_000 : 1_000_000);
    expect(outline({ wanted: blocks, hints, fetchBytesPerMs })).toEqual(['b: 0-31']);
  });

  it('asks the homes for blocks without a hint, and names alternatives', () => {
    const plan = planFetch(request({ hints: [{ worker: 'a', blocks: 8 }], homesOf: () => ['self', 'h', 'a'] }));
    expect(plan.parts.map(({ from, otherwise }) => [from, otherwise])).toEqual([
      ['a', ['h']],
      ['h', ['a']],
    ]);
    expect(plan.computeMs).toBe(16 * 64);
  });

  it('asks no worker that is unreachable or slower than computing', () => {
    const hints = [
      { worker: 'gone', blocks: 16 },
      { worker: 'slow', blocks: 16 },
    ];
    const fetchBytesPerMs = (worker: string) => (worker === 'slow' ? 10_000 : null);
    expect(outline({ hints, reachable: (worker) => worker !== 'gone', fetchBytesPerMs })).toEqual([]);
    expect(outline({ hints, reachable: () => true, fetchBytesPerMs })).toEqual(['gone: 0-15']);
  });

  it('stops at the first block that no worker has', () => {
    const homesOf = (segment: string) => (segment === 'block 0' ? ['h'] : []);
    expect(outline({ wanted: blocks, homesOf, hints: [] })).toEqual(['h: 0-7']);
  });

  it('asks a worker that is slower than computing if blocks are always fetched, and waits for it, but not for ever', () => {
    const over = { hints: [{ worker: 'slow', blocks: 16 }], fetchBytesPerMs: () => 10_000, computeMsPerToken: 0.001 };
    expect(outline(over)).toEqual([]);
    const plan = planFetch(request({ ...over, policy: 'always' }));
    expect(plan.parts.map(({ from }) => from)).toEqual(['slow']);
    expect(patienceMs(plan)).toBe(0.1 * 16 * 64 * 1_000);
  });

  it('is empty if a request alone takes longer than computing', () => {
    expect(
      planFetch(request({ hints: [{ worker: 'a', blocks: 16 }], computeMsPerToken: 1e-5, blockBytes: 1 })),
    ).toEqual({ parts: [], computeMs: 0 });
  });

  it('covers a run of the wanted blocks, each once, with usable peers', () => {
    const worker: fc.Arbitrary<string> = fc.constantFrom('a', 'b', 'c', 'self');
    fc.assert(
      fc.property(
        fc.subarray(blocks),
        fc.array(fc.record({ worker, blocks: fc.nat(32) }), { maxLength: 5 }),
        fc.array(fc.uniqueArray(worker, { maxLength: 2 }), { minLength: 4, maxLength: 4 }),
        fc.dictionary(worker, fc.option(fc.integer({ min: 5_000, max: 1_000_000 }), { nil: null })),
        (wanted, hints, homes, rates) => {
          const homesOf = (segment: string) => homes[Number(segment.slice(6)) / SEGMENT]!;
          const asked = request({ wanted, hints, homesOf, fetchBytesPerMs: (id) => rates[id] ?? null });
          const { parts } = planFetch(asked);
          const planned = parts.flatMap((part) => part.blocks);
          expect(planned).toEqual(wanted.slice(0, planned.length));
          for (const { from, otherwise, blocks: own } of parts) {
            expect([from, ...otherwise]).not.toContain('self');
            expect(new Set([from, ...otherwise]).size).toBe(otherwise.length + 1);
            for (const id of [from, ...otherwise]) {
              expect(1_000_000 / (rates[id] ?? 500_000)).toBeLessThan(64);
              for (const block of own)
                expect(
                  homesOf(block.segment).includes(id) || hints.some((h) => h.worker === id && h.blocks > block.index),
                ).toBe(true);
            }
          }
        },
      ),
    );
  });
});

describe('waiting for a fetch', () => {
  const plan = planFetch(request({ hints: [{ worker: 'a', blocks: 16 }] }));
  const wantedBytes = 16_000_000;

  it('is always worth a tenth of the time to compute', () => {
    expect(patienceMs(plan)).toBeCloseTo(102.4);
    expect(worthWaiting(plan, { elapsedMs: 102, arrivedBytes: 0, wantedBytes })).toBe(true);
    expect(worthWaiting(plan, { elapsedMs: 103, arrivedBytes: 0, wantedBytes })).toBe(false);
  });

  it('is always worth a minimum, for a peer with a busy CPU', () => {
    const quick = planFetch(request({ hints: [{ worker: 'a', blocks: 16 }], computeMsPerToken: 0.1 }));
    expect(quick.parts).not.toEqual([]);
    expect(worthWaiting(quick, { elapsedMs: 20, arrivedBytes: 0, wantedBytes })).toBe(true);
    expect(worthWaiting(quick, { elapsedMs: 21, arrivedBytes: 0, wantedBytes })).toBe(false);
  });

  it('is worth more while the rest arrives faster than it is computed', () => {
    expect(worthWaiting(plan, { elapsedMs: 500, arrivedBytes: 9_000_000, wantedBytes })).toBe(true);
    expect(worthWaiting(plan, { elapsedMs: 500, arrivedBytes: 7_000_000, wantedBytes })).toBe(false);
    expect(worthWaiting(plan, { elapsedMs: 5_000, arrivedBytes: wantedBytes, wantedBytes })).toBe(true);
  });

  it('wastes at most a tenth of the time to compute everything, however the peer behaves', () => {
    const arrivals = fc.array(fc.nat(3_000_000), { maxLength: 60 });
    fc.assert(
      fc.property(arrivals, (bytes) => {
        let [elapsedMs, arrivedBytes] = [0, 0];
        for (const more of [...bytes, ...Array<number>(200).fill(0)]) {
          if (!worthWaiting(plan, { elapsedMs, arrivedBytes, wantedBytes })) break;
          if (arrivedBytes >= wantedBytes) break;
          elapsedMs += 10;
          arrivedBytes = Math.min(wantedBytes, arrivedBytes + more);
        }
        const restMs = plan.computeMs * (1 - arrivedBytes / wantedBytes);
        expect(elapsedMs + restMs).toBeLessThanOrEqual(1.1 * plan.computeMs + 10);
      }),
    );
  });
});
