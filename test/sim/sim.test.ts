import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { MUTANTS, type Mutant } from './mutants.js';
import type { SeedReport } from './report.js';

/** The simulator itself: it is repeatable, the production code passes, and faulty versions of it do not. */

const MAIN = join(fileURLToPath(new URL('../..', import.meta.url)), 'dist/test/sim/main.js');
/** The short form, for each change; the long one is a step of its own in `.ci/run`. */
const SEEDS = 24;
const OUTPUT_BYTES = 64 * 2 ** 20;

/** A seed that finds the mutant. */
const FOUND_BY: Record<Mutant, number> = {
  'no digest check': 16,
  'no incarnation check': 7,
  'R off by one': 1,
  'a buffer reused in transfer': 19,
  'stale obeyed from one sender': 4,
  'replication gives up': 81,
  'attempts charged to bystanders': 122,
  'a damaged file believed': 118,
  'a repetition computed again': 8,
  'a lease that never ends': 1176,
  'a store that refuses unnamed': 359,
  'a store blamed for ever': 359,
  'an object with one copy': 80,
};

interface Outcome {
  readonly code: number;
  readonly out: string;
}

async function sim(...args: readonly string[]): Promise<Outcome> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...args], { maxBuffer: OUTPUT_BYTES });
    return { code: 0, out: stdout };
  } catch (error) {
    const { code, stdout } = error as { code: unknown; stdout: string };
    if (typeof code !== 'number') throw error;
    return { code, out: stdout };
  }
}

async function one(seed: number, ...args: readonly string[]): Promise<SeedReport> {
  const { out } = await sim('--seed', String(seed), '--json', ...args);
  return JSON.parse(out) as SeedReport;
}

beforeAll(() => {
  if (!existsSync(MAIN)) throw new Error('the simulator is not built; run npm run build');
});

describe('the simulator', () => {
  it('runs a seed twice in the same way, and another seed in another', async () => {
    const [a, b, other] = await Promise.all([one(3), one(3), one(4)]);
    expect(a).toEqual(b);
    expect(a!.result.traceHash).not.toBe(other!.result.traceHash);
  });

  it('also runs one with seals, tiers and a device with its own memory twice in the same way', async () => {
    const [a, b] = await Promise.all([one(73), one(73)]);
    const traits = ['sealed messages', 'a device with its own memory', 'a host tier', 'a disk tier'];
    expect(a!.result.traits).toEqual(expect.arrayContaining(traits));
    expect(a).toEqual(b);
  });

  it('runs a seed in the same way after another one in the same process', async () => {
    const [both, alone] = await Promise.all([
      sim('--seeds', '2', '--from', '3', '--processes', '1', '--verbose', '--json'),
      one(4),
    ]);
    const reports = both.out
      .trim()
      .split('\n')
      .slice(0, 2)
      .map((line) => JSON.parse(line) as SeedReport);
    expect(reports[1]!.result.traceHash).toBe(alone.result.traceHash);
  });

  it(`finds nothing wrong in ${SEEDS} seeds`, async () => {
    const { code, out } = await sim('--seeds', String(SEEDS));
    expect(out).toMatch(new RegExp(`^${SEEDS} seeds with [0-9]+ faults in .* 0 seeds failed$`, 'm'));
    expect(code).toBe(0);
  });

  it('prints a failing seed with what was violated, the fewest faults, and how to run it again', async () => {
    const { code, out } = await sim('--seed', '1', '--mutant', 'R off by one');
    expect(code).toBe(1);
    expect(out).toMatch(/^seed 1 fails:\n {2}[0-9.]+ s convergence: /);
    expect(out).toMatch(/with 0 of its [0-9]+ faults it still fails/);
    expect(out).toMatch(/npm run sim -- --seed 1\n$/);
  });

  it('prints its usage for wrong flags', async () => {
    const wrong = [[], ['--seeds', 'many'], ['--seed', '1', '--mutant', 'none']];
    const outcomes = await Promise.all(wrong.map((args) => sim(...args)));
    expect(outcomes.map(({ code }) => code)).toEqual([2, 2, 2]);
  });

  it('has a seed for each mutant', () => {
    expect(Object.keys(FOUND_BY)).toEqual(Object.keys(MUTANTS));
  });

  it.each(Object.entries(FOUND_BY))('finds the mutant: %s', async (mutant, seed) => {
    const range = ['--seeds', '1', '--from', String(seed), '--json'];
    const [found, clean] = await Promise.all([sim(...range, '--mutant', mutant), sim(...range)]);
    expect(JSON.parse(found.out)).toMatchObject({ seeds: 1, failing: [seed] });
    expect(found.code).toBe(1);
    // The mutant is what the seed finds.
    expect(clean.code).toBe(0);
  });
});
