import type { Delta, FinishReason, StopReason } from './choice.js';
import type { WholeCall } from './message/whole-call.js';
import type { TokenReports } from './token-reports.js';

/** How an endpoint renders its answers as JSON. */

/** A complete choice. */
export interface WholeChoice {
  readonly index: number;
  readonly text: string;
  readonly reasoning: string;
  readonly calls: readonly WholeCall[];
  readonly reports: TokenReports;
  readonly finish: FinishReason;
  readonly stopReason: StopReason;
  readonly ids: readonly number[];
}

/** The optional parts of an answer that the request asked for. */
export interface AnswerParts {
  readonly logprobs: boolean;
  readonly tokenIds: boolean;
  /** Whether log-probabilities name tokens by their ids. */
  readonly tokensAsIds: boolean;
  /** Whether the prompt has log-probabilities too. */
  readonly promptLogprobs: boolean;
}

export interface AnswerShape {
  readonly idPrefix: string;
  readonly wholeObject: string;
  readonly chunkObject: string;
  /** Where the ids and the log-probabilities of a prompt stand, if requested: in each choice, or once in the answer, which then has one prompt. */
  readonly promptParts: 'choice' | 'answer';
  /** Renders a choice of a whole answer. */
  whole(choice: WholeChoice, parts: AnswerParts): object;
  /** Renders a choice of a chunk. `first`: whether it is the first chunk of its choice. */
  chunk(delta: Delta, parts: AnswerParts, first: boolean): object;
}
