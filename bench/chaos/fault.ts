import type { Bound } from '../report.js';
import type { ChaosContext } from './context.js';
import type { Need } from './needs.js';

/** A fault that a fleet must survive: the action, and the bounds on the figures measured meanwhile. */
export interface Fault {
  /** In kebab case, as on the command line. */
  readonly name: string;
  /** The action, in one line. */
  readonly row: string;
  /** The pass condition, in one line of text; `bounds` decides. */
  readonly passesWhen: string;
  /** One bound for each figure that decides. A figure that was not measured misses its bound. */
  readonly bounds: Readonly<Record<string, Bound>>;
  readonly needs: readonly Need[];
  /** How long the row takes on an idle machine of 2 cores, in seconds. */
  readonly expectedS: number;
  /** Injects the fault into fleets that it starts and the context ends, and measures. An error fails the row. */
  run(context: ChaosContext): Promise<Figures>;
}

/** The measured figures, by name. The name ends with the unit; a figure without a unit is a count or a ratio. */
export type Figures = Readonly<Record<string, number>>;

export function atMost(value: number): Bound {
  return { kind: 'at most', value };
}

export function atLeast(value: number): Bound {
  return { kind: 'at least', value };
}

/** The bounds of every row under load. */
export const NO_HARM = { failed_requests: atMost(0), wrong_answers: atMost(0) } as const;
