import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { RuntimeSeedResult } from './run-runtime-seed.js';
import { RUNTIME_MUTANTS, type RuntimeMutant } from './runtime-mutants.js';

/** The simulation of the runtime for users' code: it is repeatable, the production code passes, and faulty versions of it do not. */

const MAIN = fileURLToPath(new URL('../../../dist/test/sim/runtime/main.js', import.meta.url));
const SEEDS = 4;

/** A seed that finds the mutant. */
const FOUND_BY: Record<RuntimeMutant, number> = {
  'a lease that is always valid': 2,
  'silence of the bus as evidence': 1,
  'references of the dead': 2,
  'resources that stay taken': 1,
};

async function sim(...args: readonly string[]): Promise<RuntimeSeedResult[]> {
  const run = promisify(execFile)(process.execPath, [MAIN, ...args, '--json']);
  // It ends with 1 where a seed fails, and has printed the results.
  const { stdout } = await run.catch((error: { stdout: string }) => error);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as RuntimeSeedResult);
}

describe('the simulation of the runtime', () => {
  it(`finds nothing wrong in ${SEEDS} seeds, and runs them again in the same way`, async () => {
    const results = await sim('--seeds', String(SEEDS));
    expect(results.map(({ violations }) => violations)).toEqual(results.map(() => []));
    expect(results.every(({ counted, tasks, reads }) => counted > 100 && tasks > 50 && reads > 100)).toBe(true);
    expect((await sim('--seed', '2'))[0]!.traceHash).toBe(results[1]!.traceHash);
  });

  it('has a seed for each mutant', () => {
    expect(Object.keys(FOUND_BY)).toEqual(Object.keys(RUNTIME_MUTANTS));
  });

  it.each(Object.entries(FOUND_BY))('finds the mutant: %s', async (mutant, seed) => {
    const [result] = await sim('--seed', String(seed), '--mutant', mutant);
    expect(result!.violations).not.toEqual([]);
  });
});
