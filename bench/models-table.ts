/** The table of `shoal bench models`. */

/** Ways in which K/V comes to a prompt. */
const WAYS = ['cold', 'local', 'remote', 'batched'] as const;
export type Way = (typeof WAYS)[number];

/** The answers of one way, compared with plain greedy decoding by ONNX Runtime. */
export type Verdict =
  | { readonly kind: 'equal'; readonly tokens: number }
  /** The worker computed what it was to fetch: for so small a graph that is faster than a busy machine opens a link. */
  | { readonly kind: 'unfetched' }
  /** The first token that differs. */
  | {
      readonly kind: 'apart';
      readonly at: number;
      readonly expected: readonly string[];
      readonly got: readonly string[];
    };

/** What a model's graph was loaded as, or why it was not. */
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
  /** Whether all answers are equal, or the graph was to be refused. */
  readonly holds: boolean;
}

export interface ModelsReport {
  readonly name: 'models';
  readonly machine: string;
  readonly answerTokens: number;
  readonly rows: readonly ModelRow[];
}

/** Whether a row is as it must be. */
export function rowHolds({ loading, answers }: Pick<ModelRow, 'loading' | 'answers'>): boolean {
  if (loading.kind === 'refused') return loading.expected;
  return answers !== null && WAYS.every((way) => answers[way].kind === 'equal');
}

/** Compares the tokens of answers, as texts, with those expected, of which there must be at least one. */
export function compared(pairs: readonly { expected: readonly string[]; got: readonly string[] }[]): Verdict {
  for (const { expected, got } of pairs) {
    const at = expected.findIndex((token, i) => got[i] !== token);
    if (at >= 0 || got.length !== expected.length)
      return { kind: 'apart', at: at < 0 ? expected.length : at, expected, got };
  }
  return { kind: 'equal', tokens: pairs.reduce((sum, { got }) => sum + got.length, 0) };
}

/** Formats the report as text. */
export function formatModels({ machine, answerTokens, rows }: ModelsReport): string {
  const lines = [['architecture', 'exporter', 'dtype', 'loads', ...WAYS], ...rows.map(cellsOf)];
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  const failed = rows.filter(({ holds }) => !holds).length;
  return [
    `models on ${machine}`,
    `tokens of answers of ${answerTokens}, compared with plain greedy decoding by ONNX Runtime on the same file`,
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
  return verdict.kind === 'equal' ? `${verdict.tokens} equal` : `APART at ${verdict.at}`;
}
