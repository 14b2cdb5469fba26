import type { Bound } from '../report.js';
import type { Figures } from './fault.js';

/** The rows of a chaos report, and what decides whether they pass. Pure. */

export interface ChaosRow {
  readonly fault: string;
  /** The action. */
  readonly row: string;
  readonly passes_when: string;
  readonly pass: boolean;
  /** The requirement that this machine lacks, if the row was not run, which does not count as passed. */
  readonly skipped?: string;
  readonly figures: Figures;
  readonly seconds: number;
  /** Why the row failed. */
  readonly why?: string;
}

export interface ChaosReport {
  readonly name: 'chaos';
  readonly machine: string;
  /** Draws the same victims and moments again. */
  readonly seed: number;
  readonly rows: readonly ChaosRow[];
}

/** The bounds that the figures miss, in words; none if all hold. */
export function missed(figures: Figures, bounds: Readonly<Record<string, Bound>>): string[] {
  return Object.entries(bounds).flatMap(([name, bound]) => {
    const value = figures[name];
    if (value === undefined || Number.isNaN(value)) return [`${name} was not measured`];
    const holds = bound.kind === 'at most' ? value <= bound.value : value >= bound.value;
    return holds ? [] : [`${name} is ${figureText(value)}; ${bound.kind} ${figureText(bound.value)} is allowed`];
  });
}

/** 1 if a row failed, else 0. A skipped row does not fail a report. */
export function exitCode(rows: readonly ChaosRow[]): 0 | 1 {
  return rows.some((row) => !row.pass && row.skipped === undefined) ? 1 : 0;
}

/** `pass`, `FAIL` or `skipped`. */
export function outcomeOf(row: ChaosRow): string {
  if (row.skipped !== undefined) return 'skipped';
  return row.pass ? 'pass' : 'FAIL';
}

/** A number without digits that mean nothing. */
export function figureText(value: number): string {
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
