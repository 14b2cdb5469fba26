import { MUTANTS, type Mutant } from './mutants.js';
import type { SeedReport } from './report.js';
import { runSeed } from './run-seed.js';
import { shrink } from './shrink.js';

/** A process of the simulator that runs the seeds it is sent, and sends back what came of them. */

export interface Task {
  readonly seeds: readonly number[];
  readonly mutant: Mutant | null;
  readonly shrinks: boolean;
}

let mutated = false;

process.on('message', (task: Task) => {
  // Outside the ticks in which Node delivers messages.
  setTimeout(() => process.send!(work(task)));
});

function work({ seeds, mutant, shrinks }: Task): SeedReport[] {
  if (mutant !== null && !mutated) MUTANTS[mutant]();
  mutated = true;
  return seeds.map((seed) => {
    const result = runSeed(seed);
    const shrunk = result.violations.length === 0 ? null : shrinks ? shrink(result) : result;
    return { result, shrunk };
  });
}
