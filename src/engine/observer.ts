/** What a worker's metrics want to know of each sequence. Called as it happens; must neither throw nor take time. */
export interface EngineObserver {
  /** From arrival until its prefix was in place. */
  onQueue(ms: number): void;
  /** From arrival to the first token. */
  onFirstToken(ms: number): void;
  /** Between two tokens of one sequence. */
  onInterToken(ms: number): void;
  /** A block could not be copied for the cache: the sequence goes on, the rest of it is not kept. */
  onOfferFailed(error: unknown): void;
  /** It ended: all of it was sent, the caller gave up, or an error was. From arrival. */
  onEnd(outcome: 'done' | 'cancelled' | 'failed', ms: number): void;
}

export const NO_OBSERVER: EngineObserver = {
  onQueue() {},
  onFirstToken() {},
  onInterToken() {},
  onOfferFailed() {},
  onEnd() {},
};
