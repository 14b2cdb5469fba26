import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { MUTANTS, type Mutant } from './mutants.js';
import { runSeeds } from './pool.js';
import { inWords, type SeedReport } from './report.js';
import { runSeed } from './run-seed.js';
import { shrink } from './shrink.js';

/** The command of the simulator. */

const USAGE = `usage: npm run sim -- --seeds N [--from SEED] [--processes N] [--until-failure] [--mutant NAME] [--verbose] [--json]
       npm run sim -- --seed SEED [--log] [--mutant NAME] [--json]
mutants: ${Object.keys(MUTANTS).join(', ')}`;

const PROGRESS_EVERY_SEEDS = 100;

interface Settings {
  readonly seed: number | null;
  readonly seeds: number;
  readonly from: number;
  readonly processes: number;
  readonly untilFailure: boolean;
  readonly mutant: Mutant | null;
  readonly json: boolean;
  /** Also prints seeds that pass. */
  readonly verbose: boolean;
  readonly log: boolean;
}

function settings(args: readonly string[]): Settings | null {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seed: { type: 'string' },
        seeds: { type: 'string' },
        from: { type: 'string', default: '1' },
        processes: { type: 'string', default: String(availableParallelism()) },
        'until-failure': { type: 'boolean', default: false },
        mutant: { type: 'string' },
        json: { type: 'boolean', default: false },
        verbose: { type: 'boolean', default: false },
        log: { type: 'boolean', default: false },
      },
    });
    const numbers = [values.seed ?? '0', values.seeds ?? '0', values.from, values.processes].map(Number);
    if (!numbers.every((number) => Number.isSafeInteger(number) && number >= 0)) return null;
    if ((values.seed === undefined) === (values.seeds === undefined)) return null;
    if (values.mutant !== undefined && !(values.mutant in MUTANTS)) return null;
    const [seed, seeds, from, processes] = numbers as [number, number, number, number];
    return {
      seed: values.seed === undefined ? null : seed,
      seeds,
      from,
      processes,
      untilFailure: values['until-failure'],
      mutant: (values.mutant ?? null) as Mutant | null,
      json: values.json,
      verbose: values.verbose,
      log: values.log,
    };
  } catch {
    return null;
  }
}

function runOne(seed: number, { mutant, json, log }: Settings): boolean {
  if (mutant !== null) MUTANTS[mutant]();
  const result = runSeed(seed, log ? { onLog: (line) => console.error(line) } : {});
  const report: SeedReport = { result, shrunk: result.violations.length === 0 ? null : shrink(result) };
  console.log(json ? JSON.stringify(report) : inWords(report));
  return report.shrunk === null;
}

async function runMany({ from, seeds, processes, untilFailure, mutant, json, verbose }: Settings): Promise<boolean> {
  const failing: number[] = [];
  const total = { seeds: 0, faults: 0, virtualMs: 0, requests: 0, failedRequests: 0, events: 0 };
  await runSeeds({
    ...{ from, count: seeds, processes, mutant, untilFailure },
    shrinks: mutant === null,
    onReport: (report) => {
      const { result } = report;
      total.seeds++;
      total.faults += result.faults.length;
      total.virtualMs += result.virtualMs;
      total.events += result.events;
      total.requests += result.requests.done;
      total.failedRequests += result.requests.failed;
      if (report.shrunk !== null) {
        failing.push(result.seed);
      }
      if (verbose || (report.shrunk !== null && !json)) console.log(json ? JSON.stringify(report) : inWords(report));
      if (total.seeds % PROGRESS_EVERY_SEEDS === 0) console.error(`${total.seeds} of ${seeds} seeds`);
    },
  });
  failing.sort((a, b) => a - b);
  const hours = total.virtualMs / 3_600_000;
  if (json) console.log(JSON.stringify({ ...total, failing }));
  else
    console.log(
      `${total.seeds} seeds with ${total.faults} faults in ${hours.toFixed(1)} virtual hours: ${total.requests} requests answered, ` +
        `${total.failedRequests} ended in an error, ${failing.length} seeds failed${failing.length > 0 ? `: ${failing.join(', ')}` : ''}`,
    );
  return failing.length === 0;
}

const chosen = settings(process.argv.slice(2));
if (chosen === null) {
  console.error(USAGE);
  process.exitCode = 2;
} else if (chosen.seed !== null) {
  const { seed } = chosen;
  // Outside the promise callback that runs this module.
  setTimeout(() => {
    if (!runOne(seed, chosen)) process.exitCode = 1;
  });
} else {
  const passed = await runMany(chosen);
  if (!passed) process.exitCode = 1;
}
