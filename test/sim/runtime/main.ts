import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Library } from '../../../src/runtime/library.js';
import { type RuntimeSeedResult, runRuntimeSeed } from './run-runtime-seed.js';
import { RUNTIME_MUTANTS, type RuntimeMutant } from './runtime-mutants.js';

/** The command of the simulation of the runtime for users' code. */

const USAGE = `usage: npm run sim:runtime -- --seeds N [--from SEED] [--mutant NAME] [--json]
       npm run sim:runtime -- --seed SEED [--log] [--mutant NAME] [--json]
mutants: ${Object.keys(RUNTIME_MUTANTS).join(', ')}`;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    from: { type: 'string', default: '1' },
    mutant: { type: 'string' },
    json: { type: 'boolean', default: false },
    log: { type: 'boolean', default: false },
  },
});
const [from, count] = [Number(values.seed ?? values.from), Number(values.seed ? 1 : (values.seeds ?? Number.NaN))];
const isKnown = values.mutant === undefined || values.mutant in RUNTIME_MUTANTS;
if (!(Number.isSafeInteger(from) && Number.isSafeInteger(count) && count >= 1 && isKnown)) {
  console.error(USAGE);
  process.exitCode = 2;
} else {
  const library = await Library.load([fileURLToPath(new URL('./code.js', import.meta.url))]);
  if (values.mutant !== undefined) RUNTIME_MUTANTS[values.mutant as RuntimeMutant]();
  // Outside the promise callback that runs this module.
  setTimeout(() => runAll(library));
}

function runAll(library: Library): void {
  const failing: number[] = [];
  for (let seed = from; seed < from + count; seed++) {
    const result = runRuntimeSeed(seed, library, values.log ? (line) => console.error(line) : null);
    if (result.violations.length > 0) failing.push(seed);
    if (values.json) console.log(JSON.stringify(result));
    else if (count === 1 || result.violations.length > 0) console.log(inWords(result));
  }
  if (!values.json) console.log(`${count} seeds, ${failing.length} failed: ${failing.join(', ') || 'none'}`);
  if (failing.length > 0) process.exitCode = 1;
}

function inWords({ seed, violations, faults, counted, tasks, reads }: RuntimeSeedResult): string {
  const done = `${counted} numbers, ${tasks} tasks, ${reads} reads`;
  if (violations.length === 0) return `seed ${seed} passes: ${done}`;
  const lines = violations.map(({ atMs, invariant, what }) => `  ${(atMs / 1000).toFixed(3)} s ${invariant}: ${what}`);
  return [`seed ${seed} fails: ${done}`, ...lines, ...faults.map((fault) => `  fault: ${fault}`)].join('\n');
}
