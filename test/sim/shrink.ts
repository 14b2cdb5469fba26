import type { Fault } from './faults.js';
import { runSeed, type SeedResult } from './run-seed.js';

/** Finds few faults with which a seed still fails in the same way. */

/** Runs that a search may take. */
const RUNS = 40;

/** Drops the faults of a failed run one by one, as long as the same invariant is broken without them. */
export function shrink(failed: SeedResult): SeedResult {
  const invariants = new Set(failed.violations.map(({ invariant }) => invariant));
  let smallest = failed;
  let runs = 0;
  for (let dropped = true; dropped && runs < RUNS; ) {
    dropped = false;
    for (let i = smallest.faults.length - 1; i >= 0 && runs < RUNS; i--) {
      runs++;
      const faults: readonly Fault[] = smallest.faults.filter((_, index) => index !== i);
      const result = runSeed(failed.seed, { faults });
      if (!result.violations.some(({ invariant }) => invariants.has(invariant))) continue;
      smallest = result;
      dropped = true;
    }
  }
  return smallest;
}
