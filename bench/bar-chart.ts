import type { ReportRow } from './report.js';

/** Draws the rows of a report that have one unit as bars, as an SVG file. Pure. */

const WIDTH = 860;
const LABEL_WIDTH = 430;
const BAR_HEIGHT = 16;
const LINE_HEIGHT = 26;
const TOP = 34;
const VALUE_WIDTH = 110;

/** A bar for each median, with a line from the least to the greatest sample. The colours suit light and dark pages. */
export function barChart(title: string, rows: readonly ReportRow[]): string {
  const unit = rows[0]?.unit ?? '';
  const most = Math.max(...rows.map(({ max }) => max), Number.MIN_VALUE);
  const scale = (value: number) => (value / most) * (WIDTH - LABEL_WIDTH - VALUE_WIDTH);
  const height = TOP + rows.length * LINE_HEIGHT + 8;
  const lines = rows.map(({ name, median, min, max }, i) => {
    const y = TOP + i * LINE_HEIGHT;
    const middle = y + BAR_HEIGHT / 2;
    const [from, to, end] = [min, max, median].map((value) => (LABEL_WIDTH + scale(value)).toFixed(1));
    return [
      `<text x="${LABEL_WIDTH - 10}" y="${middle + 4}" text-anchor="end">${escaped(name)}</text>`,
      `<rect x="${LABEL_WIDTH}" y="${y}" width="${scale(median).toFixed(1)}" height="${BAR_HEIGHT}" rx="2" fill="#3d7ea6"/>`,
      `<path d="M${from} ${middle}H${to}M${from} ${y + 4}v8M${to} ${y + 4}v8" stroke="#8a6d1b" fill="none"/>`,
      `<text x="${Number(Math.max(Number(to), Number(end))) + 8}" y="${middle + 4}">${shown(median)} ${escaped(unit)}</text>`,
    ].join('');
  });
  const style =
    'text{font:13px system-ui,sans-serif;fill:#222}@media(prefers-color-scheme:dark){text{fill:#ddd}}.t{font-weight:600}';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}"><style>${style}</style><text class="t" x="10" y="18">${escaped(title)}</text>${lines.join('')}</svg>\n`;
}

function shown(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
