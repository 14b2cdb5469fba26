import { describe, expect, it } from 'vitest';
import { chooseContext } from '../../../src/core/context-choice.js';
import { type KvLayout, tokenBytes } from '../../../src/core/kv-layout.js';
import { Refused } from '../../../src/errors.js';
import { PROMPT_TOKENS } from '../../../src/limits.js';

const layout: KvLayout = { layers: 16, kvHeads: 8, headDim: 64, blockTokens: 64, elementType: 'float16' };
/** 32 KiB x 4 sequences. */
const perToken = 4 * tokenBytes(layout);
/** A run that takes nothing. */
const run = { runTokens: 256, heads: 8, scoreTensors: 0, width: 0, logits: 0, returnedBytes: 0 };
const demand = { run, askedTokens: null, modelTokens: 131_072, sequences: 4, layout, freeBytes: 10_000 * perToken };

describe('the longest sequence', () => {
  it('is what the model allows, if that fits', () => {
    expect(chooseContext({ ...demand, modelTokens: 8192 })).toEqual({
      tokens: 8192,
      why: "the model's limit is 8192 tokens",
    });
    expect(chooseContext({ ...demand, modelTokens: 1e7, freeBytes: 1e15 }).tokens).toBe(PROMPT_TOKENS);
  });

  it('is otherwise what fits, in whole blocks, with the reason', () => {
    const { tokens, why } = chooseContext(demand);
    expect(tokens).toBe(9984);
    expect(why).toBe(
      "what fits into memory: 4 sequences of 9984 tokens need 1248 MiB and a run 0 MiB, 1250 MiB of memory are left beside weights and caches; the model's limit is 131072 tokens",
    );
    for (const freeTokens of [64, 65, 1000, 131_071]) {
      const fitting = chooseContext({ ...demand, freeBytes: freeTokens * perToken }).tokens;
      expect(fitting % 64).toBe(0);
      expect(fitting).toBeLessThanOrEqual(freeTokens);
      expect(fitting).toBeGreaterThan(freeTokens - 64);
    }
  });

  it('leaves memory for the states of layers without K/V, of each sequence and of a run', () => {
    const states = [{ dims: [1000 * tokenBytes(layout)], elementType: 'float32' }] as const;
    const { tokens, why } = chooseContext({ ...demand, layout: { ...layout, states } });
    expect(tokens).toBe(4992);
    expect(why).toContain('625 MiB of memory are left beside weights, states and caches');
  });

  it('leaves memory for a run, which grows with the sequence', () => {
    const scores = { ...run, heads: 32, scoreTensors: 4.5 };
    const inChunks = chooseContext({ ...demand, run: scores });
    // 128 KiB per token of the four sequences, and 144 KiB for a run of 256 tokens.
    expect(inChunks.tokens).toBe(Math.floor((10_000 * 128) / (128 + 144) / 64) * 64);
    expect(inChunks.why).toContain('4 sequences of 4672 tokens need 584 MiB and a run 657 MiB');
    const whole = { ...scores, runTokens: Number.POSITIVE_INFINITY };
    const { tokens } = chooseContext({ ...demand, run: whole });
    expect(tokens).toBe(1344);
    expect(4.5 * 32 * 4 * tokens ** 2 + tokens * perToken).toBeLessThanOrEqual(demand.freeBytes);
    expect(() => chooseContext({ ...demand, run: whole, askedTokens: 2048 })).toThrow(/at most 1344/);
    const returned = { ...run, returnedBytes: tokenBytes(layout) };
    expect(chooseContext({ ...demand, run: returned }).tokens).toBe(8000);
  });

  it('is what was asked for, if it fits and the model allows it', () => {
    expect(chooseContext({ ...demand, askedTokens: 1000 })).toEqual({ tokens: 1000, why: '--context' });
    expect(chooseContext({ ...demand, askedTokens: 9000, modelTokens: 2048 })).toEqual({
      tokens: 2048,
      why: "the model's limit is 2048 tokens",
    });
  });

  it('is refused if what was asked for does not fit, with what does', () => {
    const choose = () => chooseContext({ ...demand, askedTokens: 20_000 });
    expect(choose).toThrow(Refused);
    expect(choose).toThrow(
      '--context: 4 sequences of 20000 tokens need 2500 MiB and a run 0 MiB, but 1250 MiB of memory are left beside weights and caches; set a --context of at most 9984, fewer --sequences, a smaller --cache-bytes or more --memory',
    );
  });

  it('is refused if not one block fits', () => {
    for (const freeBytes of [63 * perToken, 0, -1e9]) {
      expect(() => chooseContext({ ...demand, freeBytes })).toThrow(
        /^--context: 4 sequences of 64 tokens need 8 MiB and a run 0 MiB, but \d MiB .* set fewer --sequences/,
      );
    }
  });

  it('is at most 4096 by default where free memory is not known', () => {
    const unknown = { ...demand, freeBytes: null };
    expect(chooseContext(unknown).tokens).toBe(4096);
    expect(chooseContext(unknown).why).toMatch(/free memory is not known; the model's limit is 131072 tokens/);
    expect(chooseContext({ ...unknown, modelTokens: 2048 }).tokens).toBe(2048);
    expect(chooseContext({ ...unknown, askedTokens: 65_536 })).toEqual({ tokens: 65_536, why: '--context' });
  });
});
