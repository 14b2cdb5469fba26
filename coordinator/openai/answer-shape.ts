import type { Delta, FinishReason } from './choice.js';
import type { TokenReports } from './token-reports.js';

/** How an endpoint renders its answers as JSON. */

/** A complete choice. */
export interface WholeChoice {
  readonly index: number;
  readonly text: string;
  readonly reports: TokenReports;
  readonly finish: FinishReason;
}

export interface AnswerShape {
  readonly idPrefix: string;
  readonly wholeObject: string;
  readonly chunkObject: string;
  /** Renders a choice of a whole answer. `logprobs`: whether the request asked for log-probabilities. */
  whole(choice: WholeChoice, logprobs: boolean): object;
  /** Renders a choice of a chunk. `first`: whether it is the first chunk of its choice. */
  chunk(delta: Delta, logprobs: boolean, first: boolean): object;
}
