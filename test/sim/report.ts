import type { Fault } from './faults.js';
import type { SeedResult } from './run-seed.js';

/** A failing seed in words. */

export interface SeedReport {
  readonly result: SeedResult;
  /** The run with the fewest faults that fails in the same way; null if the seed passed. */
  readonly shrunk: SeedResult | null;
}

export function inWords({ result, shrunk }: SeedReport): string {
  if (shrunk === null) return `seed ${result.seed} passes, with trace ${result.traceHash}`;
  return [
    `seed ${result.seed} fails:`,
    ...result.violations.map(({ atMs, invariant, what }) => `  ${seconds(atMs)} ${invariant}: ${what}`),
    `  with ${shrunk.faults.length} of its ${result.faults.length} faults it still fails:`,
    ...shrunk.faults.map((fault) => `    ${faultInWords(fault)}`),
    ...shrunk.violations.map(({ atMs, invariant, what }) => `    ${seconds(atMs)} ${invariant}: ${what}`),
    `  run it again: npm run sim -- --seed ${result.seed}`,
  ].join('\n');
}

function faultInWords({ kind, atMs, forMs, ...rest }: Fault): string {
  const details = Object.entries(rest).map(
    ([name, value]) => `${name} ${Array.isArray(value) ? value.join(', ') : value}`,
  );
  return [`${seconds(atMs)} for ${seconds(forMs)}: ${kind}`, ...details].join('; ');
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(3)} s`;
}
