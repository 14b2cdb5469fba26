import { useEffect, useState } from 'preact/hooks';
import type { Happening, HistoryAnswer } from '../../src/console/feed-messages.js';
import { useStore } from '../feed/use-store.js';
import { HappenedList } from '../parts/happened-list.js';
import { ScrollRegion } from '../parts/scroll-region.js';
import { THEME } from '../parts/theme.js';
import { clockText, isTrouble } from '../parts/words.js';
import { type Api, ApiFailure } from '../session/api.js';
import { Plot } from './plot.js';
import { plotsOf } from './plot-contents.js';
import { joined } from './series.js';
import { LEAST_SECONDS, RANGE_STEPS, type RangeStep, stepped, type TimeRange } from './time-range.js';

/** The last hour of the fleet in plots, with the events next to them. */

/** Values of an hour. */
const VALUES = 1_800;
const RANGES = { '5 min': 300, '15 min': 900, '1 h': 3_600 } as const;
type RangeName = keyof typeof RANGES;

export function MetricsPage({ api }: { readonly api: Api }) {
  const { history, problem } = useHistory(api);
  const theme = useStore(THEME);
  const [rangeName, setRangeName] = useState<RangeName>('5 min');
  const [chosen, setChosen] = useState<TimeRange | null>(null);
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
  const marks = happened.map((happening, index) => ({
    at: happening.at / 1_000,
    trouble: isTrouble(happening),
    label: String(happened.length - index),
  }));
  const choose = (name: RangeName) => {
    setChosen(null);
    setRangeName(name);
  };
  return (
    <>
      <Tools
        {...{ chosen, range, rangeName, problem }}
        onChoose={choose}
        onStep={(step) => setChosen(stepped(range, step, { from: nowS - RANGES['1 h'], to: nowS }))}
      />
      <div class="plots">
        <RangeHappened happened={happened} />
        {plotsOf(history).map((plot) => (
          <Plot
            key={plot.title}
            {...plot}
            at={history.at.map((ms) => ms / 1_000)}
            marks={marks}
            range={range}
            onRange={setChosen}
            theme={theme}
          />
        ))}
      </div>
    </>
  );
}

/** The events beside the plots, with the numbers that they have there. */
function RangeHappened({ happened }: { readonly happened: readonly Happening[] }) {
  return (
    <section class="card" aria-labelledby="range-happened">
      <h2 id="range-happened">What happened in this time</h2>
      {happened.length === 0 && <p class="hint">Nothing: no worker joined, left or died.</p>}
      {happened.length > 0 && (
        <>
          <p class="hint">A dashed line with its number in each plot, red where something went wrong.</p>
          <ScrollRegion class="happened-range" label="Events">
            <HappenedList happened={happened} timeOf={clockText} numbered />
          </ScrollRegion>
        </>
      )}
    </section>
  );
}

interface ToolsProps {
  /** Null while the plots follow the time. */
  readonly chosen: TimeRange | null;
  /** The range that is shown. */
  readonly range: TimeRange;
  readonly rangeName: RangeName;
  readonly onChoose: (name: RangeName) => void;
  readonly onStep: (step: RangeStep) => void;
  readonly problem: string | null;
}

function Tools({ chosen, range, rangeName, onChoose, onStep, problem }: ToolsProps) {
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
      <fieldset class="segments">
        <legend class="visually-hidden">Move the range</legend>
        {(Object.keys(RANGE_STEPS) as RangeStep[]).map((step) => (
          <button
            key={step}
            type="button"
            class="small"
            disabled={step === 'narrower' && range.to - range.from <= LEAST_SECONDS}
            onClick={() => onStep(step)}
          >
            {RANGE_STEPS[step]}
          </button>
        ))}
      </fieldset>
      <p class="hint">
        {chosen === null
          ? 'Drag over a plot to look at a part of it, or use the buttons.'
          : `${clockText(1_000 * chosen.from)} to ${clockText(1_000 * chosen.to)}; the numbers are those at its end. Choose a range to be live again.`}
      </p>
      {problem !== null && (
        <p class="error" role="alert">
          {problem}
        </p>
      )}
    </div>
  );
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
