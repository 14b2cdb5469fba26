import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ON_PREFIX } from '../../../src/core/kv-dependence.js';
import { longestRun, type PlannedSequence, type RunPlan, runPlan } from '../../../src/engine/run-plan.js';
import { Refused } from '../../../src/errors.js';

const BLOCK_TOKENS = 16;
const LAYOUT = { blockTokens: BLOCK_TOKENS };

/** The runs `[from, to)` of a sequence whose first `cached` tokens have K/V. */
function runs(plan: RunPlan, sequence: PlannedSequence, cached: number, limit: number): [number, number][] {
  const all: [number, number][] = [];
  for (let from = cached; from < sequence.length; ) {
    const to = plan.endOfRun(sequence, from, limit);
    all.push([from, to]);
    from = to;
  }
  return all;
}

const sequences = fc
  .record({ promptTokens: fc.integer({ min: 1, max: 200 }), answerTokens: fc.nat({ max: 40 }) })
  .map(({ promptTokens, answerTokens }) => ({ promptTokens, length: promptTokens + answerTokens }));
const limits = fc.integer({ min: 1, max: 100 });

describe('the plan of runs', () => {
  it('is free for graphs whose K/V depends on the prefix alone', () => {
    const plan = runPlan(ON_PREFIX, LAYOUT);
    expect(runs(plan, { promptTokens: 50, length: 60 }, 16, 20)).toEqual([
      [16, 36],
      [36, 56],
      [56, 60],
    ]);
    expect(plan.shareableTokens({ promptTokens: 50, length: 60 })).toBe(60);
  });

  it('ends a run at each block for graphs with states, of the answer too', () => {
    const plan = runPlan(ON_PREFIX, { ...LAYOUT, states: [{ dims: [4], elementType: 'float32' }] });
    const sequence = { promptTokens: 50, length: 70 };
    expect(runs(plan, sequence, 16, 20)).toEqual([
      [16, 32],
      [32, 48],
      [48, 64],
      [64, 70],
    ]);
    expect(runs(plan, sequence, 60, 3).map(([, to]) => to)).toEqual([63, 64, 67, 70]);
    expect(plan.shareableTokens(sequence)).toBe(70);
  });

  it('gives each shared block a run of its own, whatever is cached, and however the prompt goes on', () => {
    const plan = runPlan({ kind: 'run', reason: '' }, LAYOUT);
    fc.assert(
      fc.property(sequences, limits, fc.nat({ max: 12 }), (sequence, limit, blocks) => {
        const shareable = plan.shareableTokens(sequence);
        const cached = Math.min(blocks * BLOCK_TOKENS, shareable, sequence.length - 1);
        const from = cached - (cached % BLOCK_TOKENS);
        const cold = runs(plan, sequence, 0, limit);
        expect(runs(plan, sequence, from, limit)).toEqual(cold.filter(([start]) => start >= from));
        for (let at = 0; at < shareable; at += BLOCK_TOKENS) expect(cold).toContainEqual([at, at + BLOCK_TOKENS]);
      }),
    );
  });

  it.each(['run', 'length'] as const)('computes tokens of the answer one by one, if K/V depends on the %s', (kind) => {
    const plan = runPlan({ kind, reason: '' }, LAYOUT);
    fc.assert(
      fc.property(sequences, limits, (sequence, limit) => {
        const ofAnswer = runs(plan, sequence, 0, limit).filter(([from]) => from >= sequence.promptTokens);
        expect(ofAnswer).toEqual(
          Array.from({ length: sequence.length - sequence.promptTokens }, (_, i) => [
            sequence.promptTokens + i,
            sequence.promptTokens + i + 1,
          ]),
        );
      }),
    );
  });

  it('computes a prompt in one run and shares nothing, if K/V depends on the length', () => {
    const plan = runPlan({ kind: 'length', reason: '' }, LAYOUT);
    const sequence = { promptTokens: 100, length: 101 };
    expect(runs(plan, sequence, 0, 20)).toEqual([
      [0, 100],
      [100, 101],
    ]);
    expect(plan.shareableTokens(sequence)).toBe(0);
  });
});

describe('the longest run', () => {
  const bounds = { chunkTokens: 256, blockTokens: 64, contextTokens: 4096 };
  const gpu = { kind: 'webgpu', longestRunTokens: 31 } as const;
  const cpu = { kind: 'cpu', longestRunTokens: Number.POSITIVE_INFINITY } as const;

  it("is a chunk, a block or a prompt by the plan, and not longer than the device's", () => {
    expect(longestRun(ON_PREFIX, { ...bounds, device: cpu })).toBe(256);
    expect(longestRun(ON_PREFIX, { ...bounds, device: gpu })).toBe(31);
    expect(longestRun({ kind: 'run', reason: '' }, { ...bounds, device: cpu })).toBe(64);
    expect(longestRun({ kind: 'length', reason: '' }, { ...bounds, device: cpu })).toBe(4096);
  });

  it.each(['run', 'length'] as const)('is refused if the K/V depends on the %s and the device allows less', (kind) => {
    const refused = () => longestRun({ kind, reason: 'a node' }, { ...bounds, device: gpu });
    expect(refused).toThrow(Refused);
    expect(refused).toThrow(/runs of \d+ tokens \(a node\), and .* more than 31 tokens wrong.*--device cpu/);
  });
});
