import type { Clock } from '../../src/clock.js';
import type { Claims } from './claims.js';
import type { Loss, Witness } from './loss.js';
import type { Convicted, RequestName } from './request-name.js';

/** The surroundings of `Suspects`: its questions to the fleet, and its reports. */
export interface SuspectsOptions {
  readonly clock: Clock;
  /** Whether membership trusts this incarnation. */
  readonly trusts: (worker: string, incarnation: string) => boolean;
  /** Whether an incarnation of a worker that was declared dead fell silent on a connection that it did not close. */
  readonly fellSilent: (instance: string) => boolean;
  /** Whether any request with the prompt is convicted. */
  readonly isConvicted: (prompt: string) => boolean;
  /** Whether all requests with the prompt are. */
  readonly isRefused: (prompt: string) => boolean;
  /** Whether this coordinator appears to have heard the others' messages for a while. */
  readonly hearsOthers: () => boolean;
  readonly onWitnessed: (loss: Loss, witnesses: ReadonlyMap<string, Witness>) => void;
  readonly claims: Claims;
  /** The number of workers that serve. */
  readonly serving: () => number;
  /** Whether the fleet has no other coordinator. */
  readonly alone: () => boolean;
  readonly onCleared: (name: RequestName, losses: readonly string[]) => void;
  readonly onVerdict: (convicted: Convicted, workers: readonly string[]) => void;
}
