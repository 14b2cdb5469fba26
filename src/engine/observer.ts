/** The port through which the engine reports each sequence, for metrics and logs. Its methods must return quickly and never throw. */
export interface EngineObserver {
  /** The time from arrival until the prefix was in the slot. */
  onQueue(ms: number): void;
  /** The time from arrival to the first token. */
  onFirstToken(ms: number): void;
  /** The time between two tokens of one sequence. */
  onInterToken(ms: number): void;
  /** Of `guessed` tokens of an answer that were computed together, the first `right` were those that the model chose. */
  onGuessed(guessed: number, right: number): void;
  /** A block could not be copied for the cache. The sequence continues, but the rest of it is not cached. */
  onOfferFailed(error: unknown, requestId: string): void;
  /** A sequence ended `ms` after its arrival. */
  onEnd(outcome: SequenceOutcome, ms: number, ended: EndedSequence): void;
}

export type SequenceOutcome = 'done' | 'cancelled' | 'failed';

/** Tokens of a prompt, by the source of their K/V. */
export interface PromptTokens {
  readonly local: number;
  readonly remote: number;
  readonly computed: number;
}

/** The log's fields for a sequence that ended. */
export interface EndedSequence {
  readonly requestId: string;
  /** Null without a trace. */
  readonly traceId: string | null;
  /** Null if it ended before its prefix was in the slot. */
  readonly promptTokens: PromptTokens | null;
  readonly generatedTokens: number;
  readonly queueMs: number | null;
  /** From arrival to the first token; null without one. */
  readonly firstTokenMs: number | null;
  /** Why it ended; null if it was cancelled or failed. */
  readonly finish: 'stop' | 'length' | null;
}

export const NO_OBSERVER: EngineObserver = {
  onQueue() {},
  onFirstToken() {},
  onInterToken() {},
  onGuessed() {},
  onOfferFailed() {},
  onEnd() {},
};
