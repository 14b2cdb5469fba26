import { readFileSync } from 'node:fs';
import type { Report } from '../bench/report.js';
import { readValues } from '../src/config/config.js';
import { WrongUsage } from '../src/config/wrong-usage.js';
import type { CommandContext } from './context.js';

/** `shoal bench compare BEFORE.json AFTER.json`: what has become better or worse. The exit code is 1 if something has become worse. */
export async function benchCompare(context: CommandContext): Promise<number> {
  const { json } = readValues('bench', context);
  const [before, after] = context.args.slice(1).map(readReport);
  if (before === undefined || after === undefined) {
    throw new WrongUsage('bench compare: must name two files with reports that "shoal bench NAME --json" printed');
  }
  if (before.name !== after.name) {
    throw new WrongUsage(`bench compare: must compare reports of one benchmark, got ${before.name} and ${after.name}`);
  }
  const { compareReports, formatComparison } = await import('../bench/comparison.js');
  const comparison = compareReports(before, after);
  context.io.out(json ? `${JSON.stringify(comparison)}\n` : `${formatComparison(comparison)}\n`);
  return comparison.compared.some(({ verdict }) => verdict === 'worse') ? 1 : 0;
}

function readReport(path: string): Report {
  try {
    const report = JSON.parse(readFileSync(path, 'utf8')) as Partial<Report>;
    if (typeof report.name === 'string' && Array.isArray(report.rows) && Array.isArray(report.ratios))
      return report as Report;
  } catch (error) {
    throw new WrongUsage(`bench compare: cannot read ${path}: ${error instanceof Error ? error.message : error}`);
  }
  throw new WrongUsage(`bench compare: ${path} is not a report that "shoal bench NAME --json" printed`);
}
