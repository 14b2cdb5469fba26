import { writeFile } from 'node:fs/promises';
import type { Benchmark, BenchOptions, Report } from '../bench/report.js';
import { readValues } from '../src/config/config.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import { InternalError } from '../src/errors.js';
import { benchCompare } from './bench-compare.js';
import { BENCH_NAMES } from './bench-names.js';
import { benchReplay } from './bench-replay.js';
import { benchServe } from './bench-serve.js';
import type { CommandContext } from './context.js';
import { exit, signalCode } from './exit.js';
import { ENDING_SIGNALS } from './interrupts.js';

/** `shoal bench`: runs one benchmark and prints its report. The exit code is 1 if a bound is missed. */
export async function bench(context: CommandContext): Promise<number> {
  const { json, rounds, out } = readValues('bench', context);
  const name = context.args[0] ?? '';
  if (!BENCH_NAMES.includes(name)) {
    throw new WrongUsage(`bench: must be one of ${BENCH_NAMES.join(', ')}, got ${JSON.stringify(name)}`);
  }
  // Without a listener the process would end without removing its folders. Its fleets end with it.
  for (const signal of ENDING_SIGNALS) process.once(signal, () => exit(signalCode(signal)));
  if (name === 'replay') return benchReplay(context);
  if (name === 'compare') return benchCompare(context);
  if (name === 'serve') return benchServe(context);
  const options = { rounds, progress: (line: string) => context.io.err(`${line}\n`) };
  const { report, text } = name === 'models' ? await models(options) : await benchmark(name, options);
  if (out !== null) await writeFile(out, `${JSON.stringify(report)}\n`);
  context.io.out(json ? `${JSON.stringify(report)}\n` : `${text}\n`);
  return report.ratios.every(({ holds }) => holds) ? 0 : 1;
}

/** What a benchmark found, and the same for people. */
interface Outcome {
  readonly report: Pick<Report, 'ratios'>;
  readonly text: string;
}

async function benchmark(name: string, options: BenchOptions): Promise<Outcome> {
  const run = await load(name);
  const report = await run(options);
  const { formatReport } = await import('../bench/report.js');
  return { report, text: formatReport(report) };
}

/** Compares the answers of many models. */
async function models(options: BenchOptions): Promise<Outcome> {
  const { compareModels } = await import('../bench/models.js');
  const { formatModels } = await import('../bench/models-table.js');
  const report = await compareModels(options);
  return { report, text: formatModels(report) };
}

async function load(name: string): Promise<Benchmark> {
  const module: unknown = await import(new URL(`../bench/${name}.js`, import.meta.url).href);
  if (typeof module === 'object' && module !== null && 'run' in module && typeof module.run === 'function') {
    return module.run as Benchmark;
  }
  throw new InternalError(`cannot run the benchmark ${name}: bench/${name}.js exports no function named run`);
}
