import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { offlineOptimum, pooledLru, roundRobin, unlimited } from '../../../bench/replay/reference-caches.js';
import { openTrace } from '../../../bench/replay/trace.js';
import { type ReplayOptions, replay } from '../../../bench/replay.js';

const OPTIONS: ReplayOptions = {
  trace: 'heads',
  requests: 300,
  workers: 3,
  memoryPercent: 10,
  replicas: 2,
  durability: 'pooled',
  loadPercent: 50,
  kills: 0,
  progress: () => {},
};
async function rowsOf(over: Partial<ReplayOptions>): Promise<Record<string, number>> {
  const { rows } = await replay({ ...OPTIONS, ...over });
  return Object.fromEntries(rows.map(({ name, median }) => [name, median]));
}

describe('a trace', () => {
  it('is read from a file, whose wrong lines are named', () => {
    const folder = mkdtempSync(join(tmpdir(), 'shoal-trace-'));
    try {
      const file = join(folder, 'trace.jsonl');
      const line = { timestamp: 5, input_length: 700, output_length: 3, hash_ids: [0, 1] };
      writeFileSync(file, `${JSON.stringify(line)}\n{"timestamp":"x"}\n`);
      expect(() => openTrace(file, null)).toThrow(`${file}:2`);
      writeFileSync(file, `${JSON.stringify(line)}\n`);
      expect(openTrace(file, null)).toEqual([{ atMs: 5, outputTokens: 3, promptTokens: 700, ids: [0, 1] }]);
      writeFileSync(file, `${JSON.stringify({ ...line, input_length: 1e15 })}\n`);
      expect(() => openTrace(file, null)).toThrow(
        `${file}:1: must be a request of a trace; hash_ids: must have one id`,
      );
      expect(() => openTrace('/dev/zero', null)).toThrow('a line has more than');
      expect(() => openTrace(join(folder, 'none'), null)).toThrow('cannot read');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('is the same each time that it is drawn', () => {
    for (const name of ['heads', 'flood', 'rounds', 'documents'])
      expect(openTrace(name, 50)).toEqual(openTrace(name, 50));
  });
});

describe('the caches that a replay is compared with', () => {
  const of = (...prompts: number[][]) =>
    prompts.map((ids, atMs) => ({ atMs, outputTokens: 1, promptTokens: 512 * ids.length, ids }));

  it('keep what they have memory for', () => {
    const trace = of([1, 2], [3, 4], [1, 2], [3, 4]);
    expect(unlimited(trace)).toBe(0.5);
    expect(pooledLru(trace, 4)).toBe(0.5);
    expect(pooledLru(trace, 2)).toBe(0);
    expect(roundRobin(trace, 2, 2)).toBe(0.5);
    expect(roundRobin(of([1, 2], [1, 2]), 2, 2)).toBe(0);
  });

  it('evict leaves before their parents', () => {
    expect(pooledLru(of([1, 2], [3], [1, 2]), 2)).toBe(1 / 5);
  });

  it('know the future, where they are to', () => {
    expect(offlineOptimum(of([1], [2], [3], [1], [2]), 2)).toBe(2 / 5);
    expect(pooledLru(of([1], [2], [3], [1], [2]), 2)).toBe(0);
  });
});

describe('a replay', () => {
  it('gives the same numbers each time', async () => {
    expect(await rowsOf({})).toEqual(await rowsOf({}));
  });

  it('finds nearly all hits of an unlimited cache where memory is ample, at any load', async () => {
    for (const loadPercent of [10, 90]) {
      const { hits, 'hits of unlimited': all } = await rowsOf({ memoryPercent: 300, loadPercent });
      expect(hits! / all!).toBeGreaterThanOrEqual(0.97);
    }
  });

  it('wastes no memory on copies where memory is short', async () => {
    const pooled = await rowsOf({ trace: 'flood', requests: 600 });
    const strict = await rowsOf({ trace: 'flood', requests: 600, durability: 'strict' });
    expect(pooled['copies of a block at the end']!).toBeLessThan(strict['copies of a block at the end']!);
    expect(pooled.hits!).toBeGreaterThan(strict.hits!);
    expect(pooled.hits!).toBeGreaterThanOrEqual(pooled['hits of one LRU with all memory']!);
  });

  it('answers every request though workers die, which costs computing', async () => {
    const [calm, deadly] = [await rowsOf({ memoryPercent: 50 }), await rowsOf({ memoryPercent: 50, kills: 5 })];
    expect(deadly['computed tokens']!).toBeGreaterThan(calm['computed tokens']!);
    expect(deadly['hits of unlimited']).toBe(calm['hits of unlimited']);
  });
});
