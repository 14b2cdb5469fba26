import type { PlotUnit } from './ticks.js';

/** What one plot shows. */

export interface PlotSeries {
  readonly label: string;
  /** A custom property of the page's style, such as `--local`. */
  readonly colour: string;
  readonly values: readonly (number | null)[];
  /** Of a series on top of others: its own values, without theirs. Null for any other series. */
  readonly own: readonly (number | null)[] | null;
}

export interface PlotContent {
  readonly title: string;
  readonly help: string;
  readonly series: readonly PlotSeries[];
  readonly format: (value: number) => string;
  /** `number` by default. */
  readonly unit?: PlotUnit;
}
