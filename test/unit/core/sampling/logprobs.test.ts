import fc from 'fast-check';
import { expect, test } from 'vitest';
import { logprobsOf } from '../../../../src/core/sampling/logprobs.js';

test('the most likely tokens are those of a full sort, with equal ones by lowest id', () => {
  const logits = fc.array(fc.integer({ min: -4, max: 4 }), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(logits, fc.nat(20), (steps, count) => {
      const given = Float32Array.from(steps);
      const ids = Array.from(given.keys()).sort((a, b) => given[b]! - given[a]! || a - b);
      expect(logprobsOf(given, 0, count).top.map(([id]) => id)).toEqual(ids.slice(0, count));
    }),
  );
});

test('probabilities sum to one, however large the logits', () => {
  const logits = Float32Array.of(1000, 1001, 999, -1000);
  const { top } = logprobsOf(logits, 0, 4);
  expect(top.reduce((sum, [, logprob]) => sum + Math.exp(logprob), 0)).toBeCloseTo(1, 12);
});
