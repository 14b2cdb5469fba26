import { cpus, totalmem } from 'node:os';

/** One measured quantity over all rounds. */
export interface ReportRow {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly samples: number;
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
}

export interface Bound {
  readonly kind: 'at most' | 'at least';
  readonly value: number;
}

/** What a benchmark gives. */
export interface Report {
  readonly name: string;
  readonly rows: readonly ReportRow[];
  readonly ratios: readonly ReportRatio[];
  /** What it ran on. */
  readonly machine: string;
}

/** What a benchmark is told. */
export interface BenchOptions {
  /** Null: as many as it needs. */
  readonly rounds: number | null;
  /** Shows what is being done. */
  readonly progress: (line: string) => void;
}

/** A benchmark: `bench/<name>.ts` exports one as `run`. */
export type Benchmark = (options: BenchOptions) => Promise<Report>;

/** Sums up the samples of one quantity. There must be at least one. */
export function reportRow(name: string, unit: string, samples: readonly number[]): ReportRow {
  return {
    name,
    unit,
    median: median(samples),
    min: Math.min(...samples),
    max: Math.max(...samples),
    samples: samples.length,
  };
}

/** The middle of the samples; the mean of the two in the middle if their number is even. */
export function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Summarizes a comparison by its values in the rounds, of which there must be at least one. The median is held to the bound. */
export function reportRatio(
  name: string,
  samples: readonly number[],
  bound: Bound | null = null,
  unit = 'x',
): ReportRatio {
  const value = median(samples);
  const holds = bound === null || (bound.kind === 'at most' ? value <= bound.value : value >= bound.value);
  return { name, unit, value, min: Math.min(...samples), max: Math.max(...samples), bound, holds };
}

/** The quotients of two quantities, round by round. */
export function quotients(over: readonly number[], under: readonly number[]): number[] {
  return over.map((sample, round) => sample / under[round]!);
}

/** This machine in one line. */
export function machineLine(): string {
  const cores = cpus();
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  return `${cores.length} x ${cores[0]?.model.trim() ?? 'unknown CPU'}, ${memory}, Node ${process.versions.node}, ${process.platform} ${process.arch}`;
}

/** The report for people. */
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
  return [`${report.name} on ${report.machine}`, '', ...rows, ...(ratios.length > 0 ? ['', ...ratios] : [])].join('\n');
}
