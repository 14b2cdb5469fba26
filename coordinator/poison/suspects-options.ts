import type { Clock } from '../../src/clock.js';
import type { Claims } from './claims.js';
import type { Loss, Witness } from './loss.js';

/** The surroundings of `Suspects`: what it asks the fleet, and what it tells. */
export interface SuspectsOptions {
  readonly clock: Clock;
  /** Whether membership trusts this incarnation. */
  readonly trusts: (worker: string, incarnation: string) => boolean;
  readonly isConvicted: (prompt: string) => boolean;
  /** Whether what other coordinators publish has been heard for a while, as far as this one knows. */
  readonly hearsOthers: () => boolean;
  readonly onWitnessed: (loss: Loss, witnesses: ReadonlyMap<string, Witness>) => void;
  readonly claims: Claims;
  /** The number of workers that serve. */
  readonly serving: () => number;
  /** Whether the fleet has no other coordinator. */
  readonly alone: () => boolean;
  readonly onCleared: (prompt: string, losses: readonly string[]) => void;
  readonly onVerdict: (prompt: string, workers: readonly string[]) => void;
}
