import { Unavailable } from '../errors.js';
import type { SequenceSlot } from './graph-runner.js';
import type { Sequence } from './sequence.js';

/** The result of a decode step for one sequence. */
export interface StepOutcome {
  readonly sequence: Sequence;
  readonly slot: SequenceSlot;
  readonly ended: boolean;
  /** The reason of a failure; null if the sequence continues, has reached its end or was cancelled. */
  readonly error: unknown;
}

/** The failure of a batch's run. At most one of its sequences is at fault; this error lets the others run elsewhere. */
export function failedTogether(error: unknown): Unavailable {
  const message = error instanceof Error ? error.message : String(error);
  return new Unavailable(`cannot continue a batch of requests: ${message}`, { cause: error });
}
