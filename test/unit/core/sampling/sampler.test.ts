import fc from 'fast-check';
import { expect, test } from 'vitest';
import { uniformAt } from '../../../../src/core/sampling/philox.js';
import { Sampler, type SamplerSettings } from '../../../../src/core/sampling/sampler.js';
import { SamplingScratch } from '../../../../src/core/sampling/scratch.js';
import { InternalError, InvalidRequest } from '../../../../src/errors.js';

const VOCAB = 24;
const GREEDY: SamplerSettings = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  seed: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  logitBias: [],
  logprobs: null,
  minTokens: 0,
  endIds: [],
};

function sampler(settings: Partial<SamplerSettings>, prompt: number[] = [], generated: number[] = []): Sampler {
  return new Sampler({ ...GREEDY, ...settings }, prompt, generated, new SamplingScratch(VOCAB));
}

function logits(...values: number[]): Float32Array {
  const all = new Float32Array(VOCAB).fill(-5);
  all.set(values);
  return all;
}

/** Stands in for a model: logits that depend on the tokens so far. */
function logitsAfter(tokens: readonly number[]): Float32Array {
  const state = tokens.reduce((hash, id) => (hash * 31 + id + 1) % 1_000_003, 7);
  return Float32Array.from({ length: VOCAB }, (_, id) => 4 * uniformAt(state, id));
}

function generate(of: Sampler, tokens: readonly number[], count: number): number[] {
  const all = [...tokens];
  for (let i = 0; i < count; i++) all.push(of.next(logitsAfter(all), all.length).token);
  return all.slice(tokens.length);
}

test('next() does not change its logits', () => {
  const given = logits(1, 2, 3);
  const before = Float32Array.from(given);
  sampler({ logitBias: [[0, 9]], repetitionPenalty: 2, temperature: 1, logprobs: 3 }, [2]).next(given, 1);
  expect(given).toEqual(before);
});

test('bias adds to a logit', () => {
  expect(sampler({ logitBias: [[0, 2.5]] }).next(logits(1, 2, 3), 0).token).toBe(0);
  expect(sampler({ logitBias: [[2, -100]] }).next(logits(1, 2, 3), 0).token).toBe(1);
});

test('repetition penalty counts the prompt, presence and frequency penalties do not', () => {
  expect(sampler({ repetitionPenalty: 2 }, [2]).next(logits(1, 2, 3), 1).token).toBe(1);
  expect(sampler({ presencePenalty: 2, frequencyPenalty: 2 }, [2]).next(logits(1, 2, 3), 1).token).toBe(2);
});

test('repetition penalty makes a token less likely on both sides of zero', () => {
  expect(sampler({ repetitionPenalty: 3 }, [0]).next(logits(-2, -3), 1).token).toBe(1);
});

test('the presence penalty applies once, the frequency penalty per occurrence', () => {
  const presence = sampler({ presencePenalty: 1.5 }, [], [2, 2, 2]);
  expect(presence.next(logits(1, 2, 4), 3).token).toBe(2);
  const frequency = sampler({ frequencyPenalty: 0.8 }, [], [2, 2, 2]);
  expect(frequency.next(logits(1, 2, 4), 3).token).toBe(1);
});

test('end tokens cannot be chosen before the minimum length, whatever their bias', () => {
  const ends = sampler({ minTokens: 3, endIds: [2, 1], logitBias: [[1, 100]] }, [], [5]);
  expect(ends.next(logits(1, 2, 3), 1).token).toBe(0);
  expect(ends.next(logits(1, 2, 3), 2).token).toBe(0);
  expect(ends.next(logits(1, 2, 3), 3).token).toBe(1);
});

test('a NaN logit is an error even if the minimum length masks it', () => {
  expect(() => sampler({ minTokens: 1, endIds: [2] }).next(logits(1, 2, Number.NaN), 0)).toThrow(InternalError);
});

test('log-probabilities are those of the raw logits, most likely first', () => {
  const raw = logits(1, 2, 3);
  const { token, logprobs } = sampler({ logprobs: 2, logitBias: [[0, 50]] }).next(raw, 0);
  const normalizer = Math.log(raw.reduce((sum, logit) => sum + Math.exp(logit), 0));
  expect(token).toBe(0);
  expect(logprobs!.logprob).toBeCloseTo(1 - normalizer, 12);
  expect(logprobs!.top.map(([id]) => id)).toEqual([2, 1]);
  expect(logprobs!.top[0]![1]).toBeCloseTo(3 - normalizer, 12);
});

test('zero alternatives return only the log-probability of the chosen token', () => {
  expect(sampler({ logprobs: 0 }).next(logits(1, 2, 3), 0).logprobs!.top).toEqual([]);
});

test('a resumed stream continues identically, including penalties and minimum length', () => {
  const settings = fc.record({
    temperature: fc.constantFrom(0, 0.7, 1.5),
    topK: fc.constantFrom(0, 3, 10),
    topP: fc.constantFrom(1, 0.8),
    minP: fc.constantFrom(0, 0.1),
    seed: fc.maxSafeNat(),
    presencePenalty: fc.constantFrom(0, 0.9),
    frequencyPenalty: fc.constantFrom(0, 0.4),
    repetitionPenalty: fc.constantFrom(1, 1.3),
    minTokens: fc.nat(20),
    endIds: fc.constantFrom([], [3, 4]),
  });
  fc.assert(
    fc.property(settings, fc.array(fc.nat(VOCAB - 1), { minLength: 1, maxLength: 8 }), fc.nat(20), (s, prompt, cut) => {
      const whole = generate(sampler(s, prompt), prompt, 20);
      const before = whole.slice(0, cut);
      const after = generate(sampler(s, prompt, before), [...prompt, ...before], 20 - cut);
      expect([...before, ...after]).toEqual(whole);
    }),
  );
});

test('different seeds give different streams', () => {
  const streams = new Set<string>();
  for (let seed = 0; seed < 20; seed++) streams.add(generate(sampler({ temperature: 1, seed }), [1], 20).join());
  expect(streams.size).toBe(20);
});

test('only allowed tokens are chosen, those that end the answer included', () => {
  const only = sampler({ allowed: [0, 5], temperature: 2, endIds: [2] });
  for (let i = 0; i < 50; i++) expect([0, 5]).toContain(only.next(logits(1, 2, 9), i).token);
});

test('a banned run of tokens never appears, also where another worker generated its beginning', () => {
  const banned = [[2], [1, 0], [3, 3, 3]];
  expect(sampler({ banned }).next(logits(1, 2, 9, 3), 0).token).toBe(3);
  expect(sampler({ banned }, [], [1]).next(logits(9, 2), 1).token).toBe(1);
  expect(sampler({ banned }, [1]).next(logits(9, 2), 1).token).toBe(0);
  expect(sampler({ banned }, [], [3, 3]).next(logits(1, 2, 3, 9), 2).token).toBe(1);
  expect(sampler({ banned }, [], [3, 1, 3]).next(logits(1, 2, 3, 9), 3).token).toBe(3);
  const long = generate(sampler({ banned, allowed: [0, 1, 2, 3], temperature: 1.5 }), [], 500);
  expect(long).not.toContain(2);
  expect(long.join()).not.toMatch(/\b1,0\b|\b3,3,3\b/);
  expect(long.join()).toMatch(/\b3,3\b/);
});

test('an answer fails that may go on with no token', () => {
  expect(() => sampler({ allowed: [4], banned: [[4]] }).next(logits(1), 0)).toThrow(InvalidRequest);
  expect(() => sampler({ allowed: [4], endIds: [4], minTokens: 1 }).next(logits(1), 0)).toThrow(InvalidRequest);
});

test('named tokens take the place of the most likely alternatives', () => {
  const { logprobs } = sampler({ logprobs: 3, logprobTokens: [7, 1, 0] }).next(logits(1, 2, 9), 0);
  expect(logprobs!.top.map(([id]) => id)).toEqual([1, 0, 7]);
  expect(logprobs!.top[0]![1]).toBeCloseTo(logprobs!.logprob - 7, 5);
});
