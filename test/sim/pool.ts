import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Task } from './child.js';
import type { Mutant } from './mutants.js';
import type { SeedReport } from './report.js';

/** Runs many seeds on several processors. */

/** Seeds that a process gets at a time. */
const BATCH_SEEDS = 4;
/** Memory for young objects of a process, which nearly all of a simulation's objects are: with less, they are copied again and again. */
const YOUNG_MIB = 64;

export interface PoolOptions {
  readonly seeds: readonly number[];
  readonly processes: number;
  readonly mutant: Mutant | null;
  /** Ends at the first seed that fails. */
  readonly untilFailure: boolean;
  readonly shrinks: boolean;
  readonly onReport: (report: SeedReport) => void;
}

/** Runs seeds. Rejects if one of the processes ends before its seeds do. */
export async function runSeeds(options: PoolOptions): Promise<void> {
  const { seeds, processes } = options;
  let next = 0;
  let over = false;
  const take = (): readonly number[] => {
    if (over) return [];
    const batch = seeds.slice(next, next + BATCH_SEEDS);
    next += batch.length;
    return batch;
  };
  const onReports = (reports: readonly SeedReport[]) => {
    for (const report of reports) {
      options.onReport(report);
      if (options.untilFailure && report.shrunk !== null) over = true;
    }
  };
  const children = Math.max(1, Math.min(processes, Math.ceil(seeds.length / BATCH_SEEDS)));
  await Promise.all(Array.from({ length: children }, () => runChild(options, take, onReports)));
}

function runChild(
  { mutant, shrinks }: PoolOptions,
  take: () => readonly number[],
  onReports: (reports: readonly SeedReport[]) => void,
): Promise<void> {
  const child: ChildProcess = fork(fileURLToPath(new URL('./child.js', import.meta.url)), {
    execArgv: [`--min-semi-space-size=${YOUNG_MIB}`, `--max-semi-space-size=${YOUNG_MIB}`],
  });
  return new Promise<void>((resolve, reject) => {
    let done = false;
    const feed = () => {
      const seeds = take();
      done = seeds.length === 0;
      if (done) child.disconnect();
      else child.send({ seeds, mutant, shrinks } satisfies Task);
    };
    child.on('message', (reports: SeedReport[]) => {
      onReports(reports);
      feed();
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (done) resolve();
      else reject(new Error(`a process of the simulator ended with ${signal ?? code}`));
    });
    feed();
  });
}
