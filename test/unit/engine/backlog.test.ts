import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Backlog } from '../../../src/engine/backlog.js';
import { Rate } from '../../../src/engine/rate.js';
import { chain } from '../workers/support/cache.js';

const BLOCK = 64;

describe('a backlog', () => {
  it('counts a block that several prompts wait for once, until one of them has it', () => {
    const backlog = new Backlog(BLOCK);
    const blocks = chain('prompt', 3);
    const [a, b] = [backlog.add(blocks, 3 * BLOCK + 5), backlog.add(blocks.slice(0, 2), 2 * BLOCK + 7)];
    expect(backlog.tokens).toBe(3 * BLOCK + 12);
    a.have(1);
    expect(backlog.tokens).toBe(2 * BLOCK + 12);
    b.end();
    expect(backlog.tokens).toBe(2 * BLOCK + 5);
    a.end();
    a.end();
    a.have(3);
    expect(backlog.tokens).toBe(0);
  });

  it('keeps the blocks of a prompt that another one gives up', () => {
    const backlog = new Backlog(BLOCK);
    const blocks = chain('prompt', 2);
    const [a, b] = [backlog.add(blocks, 2 * BLOCK), backlog.add(blocks, 2 * BLOCK)];
    a.end();
    expect(backlog.tokens).toBe(2 * BLOCK);
    b.have(2);
    expect(backlog.tokens).toBe(0);
  });

  it('is empty after any sequence of events, and never negative', () => {
    const event = fc.record({ of: fc.nat({ max: 5 }), have: fc.option(fc.nat({ max: 4 }), { nil: null }) });
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 6 }), fc.array(event), (lengths, events) => {
        const backlog = new Backlog(BLOCK);
        const parts = lengths.map((length, i) => backlog.add(chain(`prompt ${i % 2}`, length), length * BLOCK + i));
        for (const { of, have } of events) {
          const part = parts[of % parts.length]!;
          if (have === null) part.end();
          else part.have(have);
          expect(backlog.tokens).toBeGreaterThanOrEqual(0);
        }
        for (const part of parts) part.end();
        expect(backlog.tokens).toBe(0);
      }),
    );
  });
});

describe('a rate', () => {
  it('is a mean that long runs weigh on more', () => {
    const rate = new Rate();
    expect([rate.msPerUnit, rate.ageMs(5)]).toEqual([null, null]);
    rate.add(10, 10, 0);
    rate.add(270, 90, 0);
    expect(rate.msPerUnit).toBeCloseTo((9 + 270) / 99);
    expect(rate.ageMs(40)).toBe(40);
  });

  it('is replaced by one measurement after a long pause', () => {
    const rate = new Rate();
    for (let i = 0; i < 20; i++) rate.add(1_000, 100, i);
    rate.add(100, 100, 100_000);
    expect(rate.msPerUnit).toBeLessThan(1.1);
  });
});
