import { cpus, totalmem } from 'node:os';

/** The report of a benchmark: rows, ratios and their bounds. */

const VALUES_KEPT = 128;

/** One measured quantity over all rounds. */
export interface ReportRow {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly samples: number;
  /** The samples in their order, if there are at most `VALUES_KEPT`; for `shoal bench compare`. */
  readonly values?: readonly number[];
}

/** A comparison of two quantities of the same run, with its bound. */
export interface ReportRatio {
  readonly name: string;
  /** `x` for a quotient; a unit for a difference. */
  readonly unit: string;
  readonly value: number;
  /** The least and the greatest over the rounds. */
  readonly min: number;
  readonly max: number;
  /** Null for a ratio that is shown for information. */
  readonly bound: Bound | null;
  /** Whether the value is within the bound; true if there is none. */
  readonly holds: boolean;
  /** Of each round, if there are at most `VALUES_KEPT`. */
  readonly values?: readonly number[];
}

export interface Bound {
  readonly kind: 'at most' | 'at least';
  readonly value: number;
}

/** The result of a benchmark. */
export interface Report {
  readonly name: string;
  readonly rows: readonly ReportRow[];
  readonly ratios: readonly ReportRatio[];
  /** The machine that it ran on. */
  readonly machine: string;
  /** For example skipped parts, and the reasons. */
  readonly notes?: readonly string[];
}

/** The options of a benchmark. */
export interface BenchOptions {
  /** The number of rounds; null for the benchmark's default. */
  readonly rounds: number | null;
  /** Shows a line of progress. */
  readonly progress: (line: string) => void;
}

/** A benchmark: `bench/<name>.ts` exports one as `run`. */
export type Benchmark = (options: BenchOptions) => Promise<Report>;

/** Summarizes the samples of one quantity, at least one. */
export function reportRow(name: string, unit: string, samples: readonly number[]): ReportRow {
  return {
    name,
    unit,
    median: median(samples),
    min: Math.min(...samples),
    max: Math.max(...samples),
    samples: samples.length,
    ...kept(samples),
  };
}

function kept(samples: readonly number[]): { readonly values?: readonly number[] } {
  return samples.length > VALUES_KEPT ? {} : { values: [...samples] };
}

/** The median: of an even number of samples, the mean of the two in the middle. */
export function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Summarizes a comparison by its values in the rounds, at least one. The bound applies to the median. */
export function reportRatio(
  name: string,
  samples: readonly number[],
  bound: Bound | null = null,
  unit = 'x',
): ReportRatio {
  const value = median(samples);
  const holds = bound === null || (bound.kind === 'at most' ? value <= bound.value : value >= bound.value);
  return { name, unit, value, min: Math.min(...samples), max: Math.max(...samples), bound, holds, ...kept(samples) };
}

/** The quotients of two quantities, round by round. */
export function quotients(over: readonly number[], under: readonly number[]): number[] {
  return over.map((sample, round) => sample / under[round]!);
}

/** One line that describes this machine. */
export function machineLine(): string {
  const cores = cpus();
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  return `${cores.length} x ${cores[0]?.model.trim() ?? 'unknown CPU'}, ${memory}, Node ${process.versions.node}, ${process.platform} ${process.arch}`;
}

/** Formats a report as text. */
export function formatReport(report: Report): string {
  const width = Math.max(...[...report.rows, ...report.ratios].map((line) => line.name.length));
  const number = (value: number) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));
  const rows = report.rows.map(
    (row) =>
      `  ${row.name.padEnd(width)}  ${number(row.median).padStart(8)} ${row.unit}` +
      `  (${number(row.min)} to ${number(row.max)}, ${row.samples} samples)`,
  );
  const ratios = report.ratios.map((ratio) => {
    const { name, unit, value, min, max, bound, holds } = ratio;
    const spread = min === max ? '' : `  (${number(min)} to ${number(max)})`;
    const verdict = bound === null ? '' : `  ${bound.kind} ${bound.value}: ${holds ? 'kept' : 'MISSED'}`;
    return `  ${name.padEnd(width)}  ${number(value).padStart(8)} ${unit}${spread}${verdict}`;
  });
  const parts = [[`${report.name} on ${report.machine}`], rows, ratios, report.notes ?? []];
  return parts
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n');
}
