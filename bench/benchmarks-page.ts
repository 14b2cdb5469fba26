import { barChart } from './bar-chart.js';
import type { Report, ReportRow } from './report.js';

/** The page of all benchmarks, docs/BENCHMARKS.md, and its charts, from their reports. Pure. */

/** One benchmark of the page. */
export interface MeasuredBenchmark {
  /** As in `shoal bench`, arguments included. */
  readonly command: string;
  /** One sentence. */
  readonly about: string;
  /** ISO date. */
  readonly date: string;
  readonly report: Report;
}

/** A file of the page, by its path from `docs/`. */
export interface PageFile {
  readonly path: string;
  readonly content: string;
}

/** Units with fewer rows get no chart. */
const CHARTED_ROWS = 2;

/** The page first, then its charts. */
export function benchmarksPage(all: readonly MeasuredBenchmark[]): PageFile[] {
  const parts = all.map(part);
  const missed = all.flatMap(({ command, report }) =>
    report.ratios.filter(({ holds }) => !holds).map(({ name }) => `- \`${command}\`: ${name}`),
  );
  const lines = [
    '# Benchmarks',
    '',
    'Written by `npm run bench:all`. All figures are medians of interleaved rounds of one run, with the least and the greatest round; what is compared ran in',
    'the same rounds. Measure on your own machine with the command above each table: ratios travel better than times.',
    '',
    '## Goals missed',
    '',
    ...(missed.length > 0 ? missed : ['None.']),
    '',
    ...parts.flatMap(({ lines: own }) => own),
  ];
  return [
    { path: 'BENCHMARKS.md', content: `${lines.join('\n').trimEnd()}\n` },
    ...parts.flatMap(({ charts }) => charts),
  ];
}

function part({ command, about, date, report }: MeasuredBenchmark): { lines: string[]; charts: PageFile[] } {
  const charts = chartsOf(command, report);
  const lines = [
    `## ${report.name}`,
    '',
    about,
    '',
    `\`${command}\`, ${date.slice(0, 10)}, on ${report.machine}.`,
    '',
    ...charts.flatMap(({ path }) => [`![${report.name}](${path})`, '']),
    '| quantity | median | from | to | rounds |',
    '| --- | ---: | ---: | ---: | ---: |',
    ...report.rows.map(
      ({ name, unit, median, min, max, samples }) =>
        `| ${name} | ${shown(median)} ${unit} | ${shown(min)} | ${shown(max)} | ${samples} |`,
    ),
    '',
    ...(report.ratios.length > 0
      ? ['| ratio | value | from | to | goal | |', '| --- | ---: | ---: | ---: | --- | --- |']
      : []),
    ...report.ratios.map(({ name, unit, value, min, max, bound, holds }) => {
      const goal = bound === null ? '' : `${bound.kind} ${bound.value}`;
      const verdict = bound === null ? '' : holds ? 'kept' : '**missed**';
      return `| ${name} | ${shown(value)} ${unit} | ${shown(min)} | ${shown(max)} | ${goal} | ${verdict} |`;
    }),
    ...(report.ratios.length > 0 ? [''] : []),
    ...(report.notes ?? []).flatMap((note) => [`${note}.`, '']),
  ];
  return { lines, charts };
}

function chartsOf(command: string, { name, rows }: Report): PageFile[] {
  const byUnit = groupedByUnit(rows);
  return [...byUnit].flatMap(([unit, group], index) => {
    if (group.length < CHARTED_ROWS) return [];
    const file = `${command.replace(/^shoal bench /, '').replace(/[^a-z0-9]+/gi, '-')}-${index + 1}.svg`;
    return [{ path: `benchmarks/${file}`, content: barChart(`${name}, ${unit}`, group) }];
  });
}

function groupedByUnit(rows: readonly ReportRow[]): Map<string, ReportRow[]> {
  const groups = new Map<string, ReportRow[]>();
  for (const row of rows) groups.set(row.unit, [...(groups.get(row.unit) ?? []), row]);
  return groups;
}

function shown(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
