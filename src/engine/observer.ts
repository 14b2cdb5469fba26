/** The port through which the engine reports each sequence, for metrics. Its methods must return quickly and never throw. */
export interface EngineObserver {
  /** The time from arrival until the prefix was in the slot. */
  onQueue(ms: number): void;
  /** The time from arrival to the first token. */
  onFirstToken(ms: number): void;
  /** The time between two tokens of one sequence. */
  onInterToken(ms: number): void;
  /** A block could not be copied for the cache. The sequence continues, but the rest of it is not cached. */
  onOfferFailed(error: unknown): void;
  /** A sequence ended `ms` after its arrival. */
  onEnd(outcome: 'done' | 'cancelled' | 'failed', ms: number): void;
}

export const NO_OBSERVER: EngineObserver = {
  onQueue() {},
  onFirstToken() {},
  onInterToken() {},
  onOfferFailed() {},
  onEnd() {},
};
