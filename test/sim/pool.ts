import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Task } from './child.js';
import type { Mutant } from './mutants.js';
import type { SeedReport } from './report.js';

/** Runs many seeds on several processors. */

/** Seeds that a process gets at a time. */
const BATCH_SEEDS = 4;

export interface PoolOptions {
  readonly from: number;
  readonly count: number;
  readonly processes: number;
  readonly mutant: Mutant | null;
  /** Ends at the first seed that fails. */
  readonly untilFailure: boolean;
  readonly shrinks: boolean;
  readonly onReport: (report: SeedReport) => void;
}

/** Runs seeds `[from, from + count)`. Rejects if one of the processes ends before its seeds do. */
export async function runSeeds(options: PoolOptions): Promise<void> {
  const { from, count, processes } = options;
  let next = from;
  let over = false;
  const take = (): number[] => {
    const end = over ? next : Math.min(from + count, next + BATCH_SEEDS);
    const seeds = Array.from({ length: end - next }, (_, i) => next + i);
    next = end;
    return seeds;
  };
  const onReports = (reports: readonly SeedReport[]) => {
    for (const report of reports) {
      options.onReport(report);
      if (options.untilFailure && report.shrunk !== null) over = true;
    }
  };
  const children = Math.max(1, Math.min(processes, Math.ceil(count / BATCH_SEEDS)));
  await Promise.all(Array.from({ length: children }, () => runChild(options, take, onReports)));
}

function runChild(
  { mutant, shrinks }: PoolOptions,
  take: () => number[],
  onReports: (reports: readonly SeedReport[]) => void,
): Promise<void> {
  const child: ChildProcess = fork(fileURLToPath(new URL('./child.js', import.meta.url)));
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
