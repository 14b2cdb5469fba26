import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

/** One plot over time. The only file that imports uPlot. */

export interface PlotSeries {
  readonly label: string;
  /** A custom property of the page's style, such as `--local`. */
  readonly colour: string;
  readonly values: readonly (number | null)[];
  /** Filled down to the series before it: the caller adds the values up. */
  readonly stacked?: boolean;
}

export interface PlotProps {
  readonly title: string;
  readonly help: string;
  /** Seconds. */
  readonly at: readonly number[];
  readonly series: readonly PlotSeries[];
  readonly format: (value: number) => string;
  readonly range: { readonly from: number; readonly to: number };
  /** The reader chose a range with the mouse. */
  readonly onRange: (range: { readonly from: number; readonly to: number }) => void;
  /** Changes when the colours do. */
  readonly theme: string;
}

const HEIGHT = 150;
/** Plots move their cursors together. */
const SYNC = uPlot.sync('metrics');

export function Plot({ title, help, at, series, format, range, onRange, theme }: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const choose = useRef(onRange);
  choose.current = onRange;
  const shape = `${series.map(({ label }) => label).join()} ${theme}`;
  // A new plot only where its series or colours change.
  useEffect(() => {
    const element = place.current!;
    const made = new uPlot(
      optionsOf(element.clientWidth, series, format, (from, to) => choose.current({ from, to })),
      dataOf(at, series),
      element,
    );
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
    };
  }, [shape]);
  useEffect(() => {
    plot.current?.setData(dataOf(at, series), false);
    plot.current?.setScale('x', { min: range.from, max: range.to });
  });
  const latest = series.map(({ label, values }) => {
    const value = values.at(-1) ?? null;
    return `${label} ${value === null ? '–' : format(value)}`;
  });
  return (
    <figure class="card plot">
      <figcaption>
        <h2>{title}</h2>
        <p class="hint">{help}</p>
        <p class="visually-hidden">Now: {latest.join(', ')}</p>
      </figcaption>
      <div ref={place} />
    </figure>
  );
}

function dataOf(at: readonly number[], series: readonly PlotSeries[]): uPlot.AlignedData {
  return [[...at], ...series.map(({ values }) => [...values])];
}

function optionsOf(
  width: number,
  series: readonly PlotSeries[],
  format: (value: number) => string,
  onRange: (from: number, to: number) => void,
): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour('--soft'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
  const text = (value: number | null) => (value === null ? '–' : format(value));
  return {
    width,
    height: HEIGHT,
    cursor: { sync: { key: SYNC.key }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
    legend: { live: true },
    scales: { y: { range: (_, __, max) => [0, Math.max(1e-9, max * 1.1) || 1] } },
    axes: [
      { ...axis, size: 28, space: 70 },
      { ...axis, size: 62, space: 32, values: (_, ticks) => ticks.map(format) },
    ],
    series: [
      { value: (_, seconds) => (seconds === null ? '' : new Date(seconds * 1_000).toLocaleTimeString()) },
      ...series.map(({ label, colour: name, stacked }) => ({
        label,
        stroke: colour(name),
        width: 1.5,
        points: { show: false },
        ...(stacked ? { fill: `${colour(name)}33` } : {}),
        value: (_: uPlot, value: number | null) => text(value),
      })),
    ],
    hooks: {
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
