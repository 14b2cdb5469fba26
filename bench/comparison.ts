import { SeededRandom } from '../src/random.js';
import { median, type Report } from './report.js';

/** Compares two reports of a benchmark: what has become better or worse, and how sure that is. Pure. */

/** One quantity of both reports. */
interface Compared {
  readonly name: string;
  readonly unit: string;
  readonly before: number;
  readonly after: number;
  /** Median of `after` over the median of `before`, with its interval of 95 % confidence; null where the reports lack samples. */
  readonly interval: readonly [number, number] | null;
  readonly verdict: Verdict;
}

/** `unclear`: the interval includes no change, or there is none. */
type Verdict = 'better' | 'worse' | 'the same' | 'unclear';

export interface Comparison {
  readonly compared: readonly Compared[];
  /** The rows that only one of the reports has. */
  readonly unmatched: readonly string[];
}

const DRAWS = 2_000;
/** Changes below this are none. */
const NOTICEABLE = 0.05;
const LOWER_IS_BETTER = /^(ms|µs|us|s|bytes|KiB|MiB|GiB)$/;
const HIGHER_IS_BETTER = /\/s$|^requests\/s$|^GB\/s$/;

interface Quantity {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  readonly values: readonly number[];
  /** 1 if more is better, -1 if less is; 0 if neither is known. */
  readonly direction: 1 | -1 | 0;
}

export function compareReports(before: Report, after: Report): Comparison {
  const [old, fresh] = [quantities(before), quantities(after)];
  const both = [...old.keys()].filter((name) => fresh.has(name));
  return {
    compared: both.map((name) => compare(old.get(name)!, fresh.get(name)!)),
    unmatched: [...old.keys(), ...fresh.keys()].filter((name) => !both.includes(name)),
  };
}

function quantities({ rows, ratios }: Report): Map<string, Quantity> {
  const ofRows = rows.map(({ name, unit, median: value, values = [] }): Quantity => {
    const direction = HIGHER_IS_BETTER.test(unit) ? 1 : LOWER_IS_BETTER.test(unit) ? -1 : 0;
    return { name, unit, value, values, direction };
  });
  const ofRatios = ratios.map(({ name, unit, value, values = [], bound }): Quantity => {
    const direction = bound === null ? 0 : bound.kind === 'at least' ? 1 : -1;
    return { name, unit, value, values, direction };
  });
  return new Map([...ofRows, ...ofRatios].map((quantity) => [quantity.name, quantity]));
}

function compare(before: Quantity, after: Quantity): Compared {
  const interval = quotientInterval(before.values, after.values);
  const verdict = verdictOf(interval, after.direction);
  return { name: after.name, unit: after.unit, before: before.value, after: after.value, interval, verdict };
}

function verdictOf(interval: Compared['interval'], direction: Quantity['direction']): Verdict {
  if (interval === null || direction === 0) return 'unclear';
  const [low, high] = interval;
  if (low > 1 - NOTICEABLE && high < 1 + NOTICEABLE) return 'the same';
  if (low <= 1 && high >= 1) return 'unclear';
  const grew = low > 1;
  return grew === direction > 0 ? 'better' : 'worse';
}

/** Percentile bootstrap of the quotient of two medians (B. Efron, 1979). Null with fewer than five samples of either. */
function quotientInterval(before: readonly number[], after: readonly number[]): readonly [number, number] | null {
  if (Math.min(before.length, after.length) < 5 || before.some((value) => value <= 0)) return null;
  const random = new SeededRandom(1);
  const drawn = (samples: readonly number[]) => median(samples.map(() => samples[random.below(samples.length)]!));
  const quotients = Array.from({ length: DRAWS }, () => drawn(after) / drawn(before)).sort((a, b) => a - b);
  return [quotients[Math.floor(0.025 * DRAWS)]!, quotients[Math.ceil(0.975 * DRAWS) - 1]!];
}

export function formatComparison({ compared, unmatched }: Comparison): string {
  const number = (value: number) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));
  const width = Math.max(0, ...compared.map(({ name }) => name.length));
  const lines = compared.map(({ name, unit, before, after, interval, verdict }) => {
    const sure = interval === null ? '' : ` (${interval[0].toFixed(2)} to ${interval[1].toFixed(2)})`;
    const change = before === 0 ? '' : `${(after / before).toFixed(2)} x${sure}`;
    return `  ${name.padEnd(width)}  ${number(before)} -> ${number(after)} ${unit}  ${change}  ${verdict}`;
  });
  const missing = unmatched.map((name) => `  in one report only: ${name}`);
  return [...lines, ...missing].join('\n');
}
