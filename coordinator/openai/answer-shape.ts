import type { Delta, FinishReason } from './choice.js';
import type { TokenReports } from './token-reports.js';

/** A choice when it is complete. */
export interface WholeChoice {
  readonly index: number;
  readonly text: string;
  readonly reports: TokenReports;
  readonly finish: FinishReason;
}

/** How an endpoint writes its answers. */
export interface AnswerShape {
  readonly idPrefix: string;
  readonly wholeObject: string;
  readonly chunkObject: string;
  /** A choice of an answer in one piece. `logprobs` says whether they were asked for. */
  whole(choice: WholeChoice, logprobs: boolean): object;
  /** A choice of a chunk. `first` for the first of this choice. */
  chunk(delta: Delta, logprobs: boolean, first: boolean): object;
}
