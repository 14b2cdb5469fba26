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

/** A comparison of two rows of the same run, and the bound that it is held to. */
export interface ReportRatio {
  readonly name: string;
  readonly value: number;
  /** Null where the ratio is shown for information. */
  readonly bound: { readonly kind: 'at most' | 'at least'; readonly value: number } | null;
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

/** Whether a ratio keeps its bound; true if it has none. */
export function keepsBound(ratio: ReportRatio): boolean {
  if (ratio.bound === null) return true;
  return ratio.bound.kind === 'at most' ? ratio.value <= ratio.bound.value : ratio.value >= ratio.bound.value;
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
    const bound =
      ratio.bound === null
        ? ''
        : `  ${ratio.bound.kind} ${ratio.bound.value}: ${keepsBound(ratio) ? 'kept' : 'MISSED'}`;
    return `  ${ratio.name.padEnd(width)}  ${number(ratio.value).padStart(8)} x${bound}`;
  });
  return [`${report.name} on ${report.machine}`, '', ...rows, ...(ratios.length > 0 ? ['', ...ratios] : [])].join('\n');
}
