import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { PlotContent, PlotSeries } from './plot-content.js';
import { TICK_DISTANCES, TIME_DISTANCES, timeTick } from './ticks.js';
import { lastWithin, type TimeRange } from './time-range.js';

/** One plot over time. The only file that imports uPlot. */

/** An event, as a line over the height of the plot. */
interface PlotMark {
  /** Seconds. */
  readonly at: number;
  readonly trouble: boolean;
  /** Stands beside the line, and names the event in the list of events. */
  readonly label: string;
}

export interface PlotProps extends PlotContent {
  /** Seconds. */
  readonly at: readonly number[];
  readonly marks: readonly PlotMark[];
  readonly range: TimeRange;
  /** The reader chose a range with the mouse. */
  readonly onRange: (range: TimeRange) => void;
  /** Changes when the colours do. */
  readonly theme: string;
}

const HEIGHT = 150;
/** On a large screen. */
const TALL = 300;
const LARGE = matchMedia('(min-width: 2000px)');
/** Plots move their cursors together. */
const SYNC = uPlot.sync('metrics');

export function Plot({ title, help, at, series, marks, format, unit, range, onRange, theme }: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const choose = useRef(onRange);
  choose.current = onRange;
  const latest = useRef({ at, series, marks, range });
  latest.current = { at, series, marks, range };
  const shape = `${series.map(({ label }) => label).join()} ${theme}`;
  // A new plot only where its series or colours change.
  useEffect(() => {
    const element = place.current!;
    const made = new uPlot(
      optionsOf(element.clientWidth, latest, { format, unit: unit ?? 'number' }, (from, to) =>
        choose.current({ from, to }),
      ),
      dataOf(at, series),
      element,
    );
    plot.current = made;
    const resized = new ResizeObserver(() => {
      made.setSize({ width: element.clientWidth, height: heightNow() });
      showLast(made, latest.current);
    });
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
    };
  }, [shape]);
  useEffect(() => {
    const shown = plot.current;
    shown?.setData(dataOf(at, series), false);
    shown?.setScale('x', { min: range.from, max: range.to });
    if (shown !== null) showLast(shown, { at, range });
  });
  const last = lastWithin(at, range);
  const lastTexts = series.map(({ label, values, own }) => {
    const value = last === null ? null : ((own ?? values)[last] ?? null);
    return `${label} ${value === null ? '–' : format(value)}`;
  });
  return (
    <figure class="card plot">
      <figcaption>
        <h2>{title}</h2>
        <p class="hint">{help}</p>
        <p class="visually-hidden">
          {last === null ? 'No values in this time' : last === at.length - 1 ? 'Now' : `At ${timeTick(at[last]!, 1)}`}:{' '}
          {lastTexts.join(', ')}
        </p>
      </figcaption>
      <div ref={place} />
    </figure>
  );
}

/** Without a cursor, the legend has the last values of the range. */
function showLast(shown: uPlot, { at, range }: Pick<PlotProps, 'at' | 'range'>): void {
  if (shown.cursor.idx != null) return;
  const idx = lastWithin(at, range);
  shown.setLegend(idx === null ? { idxs: [null, ...shown.series.slice(1).map(() => null)] } : { idx });
}

/** Draws the events below the lines. */
function drawMarks(shown: uPlot, marks: readonly PlotMark[], colourOf: (mark: PlotMark) => string): void {
  const { ctx, bbox } = shown;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textBaseline = 'top';
  ctx.textAlign = 'left';
  let free = 0;
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
  for (const mark of marks.toSorted((a, b) => a.at - b.at)) {
    const x = Math.round(shown.valToPos(mark.at, 'x', true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = colourOf(mark);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    // A label that would stand on the one before is left out.
    if (x < free) continue;
    ctx.fillStyle = ctx.strokeStyle;
    ctx.fillText(mark.label, x + 3 * devicePixelRatio, bbox.top);
    free = x + ctx.measureText(mark.label).width + 6 * devicePixelRatio;
  }
  ctx.restore();
}

/** What a plot shows now. */
interface Shown {
  readonly current: Pick<PlotProps, 'at' | 'series' | 'marks'>;
}

function dataOf(at: readonly number[], series: readonly PlotSeries[]): uPlot.AlignedData {
  return [[...at], ...series.map(({ values }) => [...values])];
}

function optionsOf(
  width: number,
  latest: Shown,
  { format, unit }: Required<Pick<PlotProps, 'format' | 'unit'>>,
  onRange: (from: number, to: number) => void,
): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour('--soft'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
  const text = (value: number | null) => (value === null ? '–' : format(value));
  return {
    width,
    height: heightNow(),
    cursor: { sync: { key: SYNC.key }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
    legend: { live: true, markers: { dash: (_, index) => (dashOf(index - 1).length === 0 ? 'solid' : 'dashed') } },
    scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [
      {
        ...axis,
        ...{ size: 28, space: 62, incrs: TIME_DISTANCES },
        values: (_, ticks, __, ___, distance) => ticks.map((tick) => timeTick(tick, distance)),
      },
      { ...axis, size: 62, space: 24, incrs: TICK_DISTANCES[unit], values: (_, ticks) => ticks.map(format) },
    ],
    series: [
      { value: (_, seconds) => (seconds === null ? '' : timeTick(seconds, 1)) },
      ...latest.current.series.map(({ label, colour: name, own }, index) => ({
        label,
        stroke: colour(name),
        width: 1.5,
        // Lines differ in more than colour.
        dash: dashOf(index),
        // A value between two gaps has no line.
        points: { show: () => !own && (latest.current.series[index]?.values.includes(null) ?? false), size: 4 },
        ...(own ? { fill: `${colour(name)}33` } : {}),
        value: (_: uPlot, value: number | null, __: number, at: number | null) =>
          text(at === null ? value : (valuesOf(latest.current.series[index])?.[at] ?? null)),
      })),
    ],
    hooks: {
      drawClear: [
        (self) => drawMarks(self, latest.current.marks, ({ trouble }) => colour(trouble ? '--bad' : '--soft')),
      ],
      setSelect: [
        (self) => {
          const { left, width: chosen } = self.select;
          if (chosen < 4) return;
          onRange(self.posToVal(left, 'x'), self.posToVal(left + chosen, 'x'));
          self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
  };
}

/** Of the line with this number; empty for a whole line. Filled areas stand one on top of the other. */
function dashOf(index: number): number[] {
  return [[], [7, 4], [2, 3], [10, 3, 2, 3]][index] ?? [];
}

function valuesOf(series: PlotSeries | undefined): PlotSeries['values'] | undefined {
  return series?.own ?? series?.values;
}

function heightNow(): number {
  return LARGE.matches ? TALL : HEIGHT;
}
