import type { Benchmark, BenchOptions, Report } from '../bench/report.js';
import { readValues } from '../src/config/config.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import { InternalError } from '../src/errors.js';
import { benchCompare } from './bench-compare.js';
import { benchReplay } from './bench-replay.js';
import { benchServe } from './bench-serve.js';
import type { CommandContext } from './context.js';

const NAMES = [
  'peer',
  'actor',
  'request',
  'runtime',
  'ttft',
  'decode',
  'batch',
  'structured',
  'hostile',
  'fairness',
  'oracle',
  'audit',
  'device',
  'memory',
  'models',
  'compare',
  'replay',
  'serve',
  'route',
  'tracing',
  'kv',
  'many',
];

/** `shoal bench`: runs one benchmark and prints its report. The exit code is 1 if a bound is missed. */
export async function bench(context: CommandContext): Promise<number> {
  const { json, rounds } = readValues('bench', context);
  const name = context.args[0] ?? '';
  if (!NAMES.includes(name)) {
    throw new WrongUsage(`bench: must be one of ${NAMES.join(', ')}, got ${JSON.stringify(name)}`);
  }
  if (name === 'replay') return benchReplay(context);
  if (name === 'compare') return benchCompare(context);
  if (name === 'serve') return benchServe(context);
  const options = { rounds, progress: (line: string) => context.io.err(`${line}\n`) };
  if (name === 'models') return models(context, options, json);
  const run = await load(name);
  const report: Report = await run(options);
  const { formatReport } = await import('../bench/report.js');
  context.io.out(json ? `${JSON.stringify(report)}\n` : `${formatReport(report)}\n`);
  return report.ratios.every(({ holds }) => holds) ? 0 : 1;
}

/** Compares the answers of many models. The exit code is 1 if one differs. */
async function models({ io }: CommandContext, options: BenchOptions, json: boolean): Promise<number> {
  const { compareModels } = await import('../bench/models.js');
  const { formatModels } = await import('../bench/models-table.js');
  const report = await compareModels(options);
  io.out(json ? `${JSON.stringify(report)}\n` : `${formatModels(report)}\n`);
  return report.rows.every(({ holds }) => holds) ? 0 : 1;
}

async function load(name: string): Promise<Benchmark> {
  const module: unknown = await import(new URL(`../bench/${name}.js`, import.meta.url).href);
  if (typeof module === 'object' && module !== null && 'run' in module && typeof module.run === 'function') {
    return module.run as Benchmark;
  }
  throw new InternalError(`cannot run the benchmark ${name}: bench/${name}.js exports no function named run`);
}
