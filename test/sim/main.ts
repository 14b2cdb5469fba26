import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { MUTANTS, type Mutant } from './mutants.js';
import { runSeeds } from './pool.js';
import { inWords, type SeedReport } from './report.js';
import { runSeed } from './run-seed.js';
import { SeedRecord } from './seed-record.js';
import { shrink } from './shrink.js';
import { Sum } from './sum.js';

/** The command of the simulator. */

const USAGE = `usage: npm run sim -- --seeds N [--from SEED] [--record FILE] [--processes N] [--until-failure] [--mutant NAME] [--verbose] [--json]
       npm run sim -- --seed SEED [--log] [--mutant NAME] [--json]
mutants: ${Object.keys(MUTANTS).join(', ')}`;

const PROGRESS_EVERY_SEEDS = 100;

interface Settings {
  readonly seed: number | null;
  readonly seeds: number;
  readonly from: number;
  /** File of the seeds that were run, which are not run again; null for none. */
  readonly record: string | null;
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
        record: { type: 'string' },
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
      record: values.record ?? null,
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

async function runMany(settings: Settings): Promise<boolean> {
  const { from, seeds: count, processes, untilFailure, mutant, json, verbose } = settings;
  const record = settings.record === null ? null : new SeedRecord(settings.record);
  const seeds = Array.from({ length: count }, (_, i) => from + i).filter((seed) => !record?.has(seed));
  const sum = new Sum();
  await runSeeds({
    ...{ seeds, processes, mutant, untilFailure },
    shrinks: mutant === null,
    onReport: (report) => {
      sum.add(report);
      record?.add(report.result);
      const failed = report.shrunk !== null;
      if (verbose || (failed && !json)) console.log(json ? JSON.stringify(report) : inWords(report));
      if (sum.seeds % PROGRESS_EVERY_SEEDS === 0) console.error(`${sum.seeds} of ${seeds.length} seeds`);
    },
  });
  console.log(json ? JSON.stringify(sum.counts()) : sum.inWords());
  if (record && !json)
    console.log(`${settings.record} has ${record.size} seeds, of which ${record.failing.length} failed`);
  return sum.failing.length === 0 && (record?.failing.length ?? 0) === 0;
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
  const passed = await runMany(chosen).catch((error: Error) => {
    console.error(error.message);
    return false;
  });
  if (!passed) process.exitCode = 1;
}
