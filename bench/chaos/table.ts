import { table } from '../../cli/table.js';
import type { Fault } from './fault.js';
import { type ChaosReport, type ChaosRow, figureText, outcomeOf } from './verdict.js';

/** Chaos reports and lists of faults as text. */

/** The report as a table, each failed row's reason under it, and a summary. */
export function formatChaos(report: ChaosReport): string {
  const rows = report.rows.map((row) => [row.fault, outcomeOf(row), figuresText(row)]);
  const reasons = report.rows.flatMap((row) => {
    const reason = row.skipped ?? row.why;
    return reason === undefined
      ? []
      : [`${row.fault} ${row.skipped === undefined ? 'failed' : 'was skipped'}: ${reason}`];
  });
  return [
    `chaos on ${report.machine}, seed ${report.seed}`,
    table(['fault', 'result', 'figures'], rows),
    ...(reasons.length > 0 ? [reasons.join('\n')] : []),
    summary(report.rows),
  ].join('\n\n');
}

/** The faults with their actions, pass conditions and durations. */
export function formatFaults(faults: readonly Fault[]): string {
  return table(
    ['fault', 'takes', 'what is done', 'passes when'],
    faults.map(({ name, expectedS, row, passesWhen }) => [name, `${expectedS} s`, row, passesWhen]),
  );
}

function summary(rows: readonly ChaosRow[]): string {
  const count = (outcome: string) => rows.filter((row) => outcomeOf(row) === outcome).length;
  const skipped = count('skipped');
  const missing = skipped === 0 ? '' : `, ${skipped} skipped: these prove nothing`;
  return `${count('pass')} passed, ${count('FAIL')} failed${missing}`;
}

function figuresText(row: ChaosRow): string {
  return Object.entries(row.figures)
    .map(([name, value]) => `${name.replaceAll('_', ' ')} ${figureText(value)}`)
    .join(', ');
}
