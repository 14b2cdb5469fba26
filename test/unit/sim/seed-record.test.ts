import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SeedResult } from '../../sim/run-seed.js';
import { SeedRecord } from '../../sim/seed-record.js';

const result = (seed: number, failed = false) =>
  ({ seed, traceHash: 'a5'.repeat(8), violations: failed ? [{}] : [] }) as unknown as SeedResult;

describe('a record of seeds', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'shoal-record-'));
    path = join(folder, 'seeds');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('knows the seeds of earlier sittings, and which of them failed', () => {
    const first = new SeedRecord(path);
    first.add(result(7));
    first.add(result(9, true));
    const second = new SeedRecord(path);
    expect([second.has(7), second.has(8), second.has(9)]).toEqual([true, false, true]);
    expect(second.failing).toEqual([9]);
    second.add(result(8));
    expect(new SeedRecord(path).size).toBe(3);
  });

  it('runs a seed again whose line was cut off', () => {
    new SeedRecord(path).add(result(7));
    appendFileSync(path, '8 a5a5');
    const record = new SeedRecord(path);
    expect([record.has(7), record.has(8)]).toEqual([true, false]);
    record.add(result(8));
    expect(new SeedRecord(path).has(8)).toBe(true);
  });

  it('refuses a file that is no record, by line', () => {
    writeFileSync(path, '7 a5a5a5a5a5a5a5a5 passed\nseven\n');
    expect(() => new SeedRecord(path)).toThrow(`${path}:2: `);
  });
});
