import { InternalError } from '../src/errors.js';
import { type ReportRatio, reportRatio } from './report.js';
import type { Compared } from './twins/plain-decoder.js';

/** The table of `shoal bench models`. */

/** Ways in which K/V comes to a prompt. */
const WAYS = ['cold', 'local', 'remote', 'batched'] as const;
export type Way = (typeof WAYS)[number];

/** The answers of one way, compared with what ONNX Runtime takes for most likely. */
export type Verdict =
  /** All tokens are the most likely ones, but for `nearTies` between which rounding decides. */
  | { readonly kind: 'equal'; readonly tokens: number; readonly nearTies: number }
  /** The worker computed blocks that it should have fetched. */
  | { readonly kind: 'unfetched' }
  /** The first token that differs. */
  | { readonly kind: 'apart'; readonly at: number; readonly expected: number; readonly got: number };

/** The way in which a model's graph was loaded, or the reason why it was not. */
type Loading =
  | { readonly kind: 'loaded'; readonly appends: 'in place' | 'by handing on'; readonly kv: string }
  | { readonly kind: 'refused'; readonly reason: string; readonly expected: boolean };

export interface ModelRow {
  readonly architecture: string;
  readonly exporter: string;
  readonly dtype: string;
  readonly loading: Loading;
  /** Null for a graph that was refused. */
  readonly answers: Readonly<Record<Way, Verdict>> | null;
  /** Whether all answers are equal, or the graph was refused as expected. */
  readonly holds: boolean;
}

export interface ModelsReport {
  readonly name: 'models';
  readonly machine: string;
  readonly answerTokens: number;
  readonly rows: readonly ModelRow[];
  /** One: the share of rows that are as they must be. */
  readonly ratios: readonly ReportRatio[];
}

/** The share of rows that are as they must be: all of them. */
export function sharePassed(rows: readonly ModelRow[]): ReportRatio {
  const share = rows.filter(({ holds }) => holds).length / rows.length;
  return reportRatio('graphs that answer as plain ONNX Runtime, or are refused as they must be', [share], {
    kind: 'at least',
    value: 1,
  });
}

/** Whether a row is as it must be. */
export function rowHolds({ loading, answers }: Pick<ModelRow, 'loading' | 'answers'>): boolean {
  if (loading.kind === 'refused') return loading.expected;
  return answers !== null && WAYS.every((way) => answers[way].kind === 'equal');
}

/** The verdict on answers. @param tokens the number of tokens that each must have */
export function verdictOn(answers: readonly (readonly Compared[])[], tokens: number): Verdict {
  let nearTies = 0;
  for (const answer of answers) {
    const at = answer.findIndex(({ choice }) => choice === 'apart');
    if (at >= 0) return { kind: 'apart', at, expected: answer[at]!.best, got: answer[at]!.got };
    if (answer.length !== tokens) throw new InternalError(`an answer has ${answer.length} tokens, not ${tokens}`);
    nearTies += answer.filter(({ choice }) => choice === 'near-tie').length;
  }
  return { kind: 'equal', tokens: answers.length * tokens, nearTies };
}

/** Formats the report as text. */
export function formatModels({ machine, answerTokens, rows }: ModelsReport): string {
  const lines = [['architecture', 'exporter', 'dtype', 'loads', ...WAYS], ...rows.map(cellsOf)];
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  const failed = rows.filter(({ holds }) => !holds).length;
  return [
    `models on ${machine}`,
    `tokens of answers of ${answerTokens}, compared with the most likely ones by plain ONNX Runtime on the same file`,
    'near: a token as likely as the most likely one within the rounding of the type of the logits',
    '',
    ...lines.map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    ),
    '',
    ...rows.flatMap(({ architecture, loading }) =>
      loading.kind === 'refused' ? [`${architecture}: ${loading.reason}`] : [],
    ),
    failed === 0 ? `all ${rows.length} rows as they must be` : `${failed} of ${rows.length} rows DIFFER`,
  ].join('\n');
}

function cellsOf({ architecture, exporter, dtype, loading, answers }: ModelRow): string[] {
  const named = [architecture, exporter, dtype];
  if (loading.kind === 'refused') return [...named, loading.expected ? 'refused' : 'REFUSED', ...WAYS.map(() => '')];
  return [...named, `${loading.appends}, ${loading.kv}`, ...WAYS.map((way) => verdictCell(answers?.[way] ?? null))];
}

function verdictCell(verdict: Verdict | null): string {
  if (verdict === null) return 'NONE';
  if (verdict.kind === 'unfetched') return 'NOT FETCHED';
  if (verdict.kind === 'apart') return `APART at ${verdict.at}`;
  const { tokens, nearTies } = verdict;
  return nearTies === 0 ? `${tokens} equal` : `${tokens} equal, ${nearTies} near`;
}
