import { useEffect, useState } from 'preact/hooks';
import type { HistoryAnswer } from '../../src/console/feed-messages.js';
import { HappenedList } from '../parts/happened-list.js';
import { currentTheme } from '../parts/theme.js';
import { byteText, isTrouble, timeText } from '../parts/words.js';
import { type Api, ApiFailure } from '../session/api.js';
import { Plot, type PlotProps, type PlotSeries } from './plot.js';
import { hitShares, joined, type SeriesValues, stacked } from './series.js';

/** The last hour of the fleet in plots, with the events next to them. */

/** Values of an hour. */
const VALUES = 1_800;
const RANGES = { '5 min': 300, '15 min': 900, '1 h': 3_600 } as const;
type RangeName = keyof typeof RANGES;

export function MetricsPage({ api }: { readonly api: Api }) {
  const { history, problem } = useHistory(api);
  const [rangeName, setRangeName] = useState<RangeName>('5 min');
  const [chosen, setChosen] = useState<PlotProps['range'] | null>(null);
  if (history === null) {
    return (
      <section class="card">
        <h1>Metrics</h1>
        <p class={problem === null ? 'hint' : 'error'} role="status">
          {problem ?? 'Loading the last hour…'}
        </p>
      </section>
    );
  }
  const nowS = history.now / 1_000;
  const range = chosen ?? { from: nowS - RANGES[rangeName], to: nowS };
  const happened = history.happened.filter(({ at }) => at / 1_000 >= range.from && at / 1_000 <= range.to).toReversed();
  const choose = (name: RangeName) => {
    setChosen(null);
    setRangeName(name);
  };
  return (
    <>
      <Tools chosen={chosen} rangeName={rangeName} onChoose={choose} problem={problem} />
      <div class="plots">
        {plotsOf(history).map((plot) => (
          <Plot
            key={plot.title}
            {...plot}
            at={history.at.map((ms) => ms / 1_000)}
            marks={happened.map((happening) => ({ at: happening.at / 1_000, trouble: isTrouble(happening) }))}
            range={range}
            onRange={setChosen}
            theme={currentTheme()}
          />
        ))}
        <section class="card" aria-labelledby="range-happened">
          <h2 id="range-happened">What happened in this time</h2>
          {happened.length === 0 && <p class="hint">Nothing: no worker joined, left or died.</p>}
          {happened.length > 0 && <p class="hint">A dashed line in each plot, red where something went wrong.</p>}
          <HappenedList happened={happened} timeOf={(at) => clockText(at / 1_000)} />
        </section>
      </div>
    </>
  );
}

interface ToolsProps {
  readonly chosen: PlotProps['range'] | null;
  readonly rangeName: RangeName;
  readonly onChoose: (name: RangeName) => void;
  readonly problem: string | null;
}

function Tools({ chosen, rangeName, onChoose, problem }: ToolsProps) {
  return (
    <div class="tools">
      <h1>Metrics</h1>
      <fieldset class="segments">
        <legend class="visually-hidden">Range</legend>
        {(Object.keys(RANGES) as RangeName[]).map((name) => (
          <button
            key={name}
            type="button"
            class="small"
            aria-pressed={chosen === null && rangeName === name}
            onClick={() => onChoose(name)}
          >
            {name}
          </button>
        ))}
      </fieldset>
      <p class="hint">
        {chosen === null
          ? 'Drag over a plot to look at a part of it.'
          : `${clockText(chosen.from)} to ${clockText(chosen.to)}. Choose a range to be live again.`}
      </p>
      {problem !== null && (
        <p class="error" role="alert">
          {problem}
        </p>
      )}
    </div>
  );
}

type PlotContent = Pick<PlotProps, 'title' | 'help' | 'series' | 'format'>;

function plotsOf({ series }: HistoryAnswer): PlotContent[] {
  return [...requestPlots(series), ...memoryPlots(series)];
}

function requestPlots(series: HistoryAnswer['series']): PlotContent[] {
  const [computed, remote, local] = stacked([series.computed, series.remote, series.local]);
  return [
    {
      title: 'Prompt tokens by source',
      help: 'Tokens a second, one on top of the other: the less is computed, the better.',
      format: (value) => `${compact(value)}/s`,
      series: [
        line('own memory', '--local', local!, series.local),
        line('another worker', '--remote', remote!, series.remote),
        line('computed', '--computed', computed!, series.computed),
      ],
    },
    {
      title: 'Hit rate',
      help: 'Share of prompt tokens that were not computed.',
      format: (value) => `${Math.round(value)} %`,
      series: [line('hits', '--local', hitShares(series))],
    },
    {
      title: 'Time to first token',
      help: 'Of the requests that got their first token in the two seconds before.',
      format: timeText,
      series: [line('median', '--ink', series.ttft_p50), line('95 %', '--bad', series.ttft_p95)],
    },
    {
      title: 'Requests',
      help: 'Answered per second, and running or waiting on the workers.',
      format: compact,
      series: [
        line('answered/s', '--ink', series.requests),
        line('failed/s', '--bad', series.failed),
        line('running', '--local', series.running),
        line('waiting', '--remote', series.waiting),
      ],
    },
  ];
}

function memoryPlots(series: HistoryAnswer['series']): PlotContent[] {
  return [
    {
      title: 'Generated tokens',
      help: 'Tokens a second, of all answers.',
      format: (value) => `${compact(value)}/s`,
      series: [line('generated', '--ink', series.generated)],
    },
    {
      title: 'Blocks',
      help: 'Distinct blocks in the fleet, and blocks that lack a copy.',
      format: compact,
      series: [line('blocks', '--ink', series.blocks), line('lack a copy', '--bad', series.below)],
    },
    {
      title: 'Memory for blocks',
      help: 'In use, on all workers.',
      format: byteText,
      series: [line('bytes', '--ink', series.bytes)],
    },
    {
      title: 'Workers',
      help: 'Workers that serve.',
      format: compact,
      series: [line('serving', '--local', series.serving)],
    },
  ];
}

/** @param own of a series on top of others: its own values, without theirs */
function line(label: string, colour: string, values: SeriesValues, own: SeriesValues | null = null): PlotSeries {
  return { label, colour, values, own };
}

function compact(value: number): string {
  return value >= 1_000
    ? Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 }).format(value)
    : String(Math.round(value * 10) / 10);
}

function clockText(seconds: number): string {
  return new Date(seconds * 1_000).toLocaleTimeString('en-GB');
}

/** The history, which grows every step. */
function useHistory(api: Api): { readonly history: HistoryAnswer | null; readonly problem: string | null } {
  const [history, setHistory] = useState<HistoryAnswer | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    const closed = new AbortController();
    const { signal } = closed;
    const load = async () => {
      let known: HistoryAnswer | null = null;
      while (!signal.aborted) {
        try {
          const since: number = known?.at.at(-1) ?? 0;
          const later = await api.get<HistoryAnswer>(`/v1/fleet/history?since=${since}`, signal);
          known = joined(known, later, VALUES);
          setHistory(known);
          setProblem(null);
        } catch (error) {
          if (signal.aborted) return;
          const forbidden = error instanceof ApiFailure && error.status === 403;
          setProblem(forbidden ? 'The metrics of the fleet need the key of an operator.' : (error as Error).message);
          if (forbidden) return;
        }
        await new Promise((resolve) => setTimeout(resolve, known?.step_ms ?? 2_000));
      }
    };
    void load();
    return () => closed.abort();
  }, [api]);
  return { history, problem };
}
