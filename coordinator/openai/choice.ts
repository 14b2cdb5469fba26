import type { TokenLogprobs } from '../../src/protocol/generate.js';
import { Detokenizer } from '../../src/text/detokenizer.js';
import { StopStrings } from '../../src/text/stop-strings.js';
import type { FleetEvent } from '../fleet.js';
import { EchoedPrompt } from './echoed-prompt.js';
import { type CallPiece, JoinedPieces, type MessagePieces } from './message/message-pieces.js';
import { type MessageReader, messageReader } from './message/message-reader.js';
import { tokenText, withoutTokenMarks } from './message/token-mark.js';
import { addPiece, argumentsOf, type WholeCall } from './message/whole-call.js';
import type { ChoicePlan } from './plan.js';
import type { TextTokenizer } from './served-model.js';
import { codePoints } from './token-report.js';
import { TokenReports } from './token-reports.js';

/** One choice of an answer: turns the events of its sequence into deltas of text. */

export type FinishReason = 'stop' | 'length' | 'tool_calls';
/** The stop string or the id of the stop token that ended a choice; null for another end. */
export type StopReason = string | number | null;

/** The next piece of a choice's text. */
export interface Delta {
  readonly index: number;
  readonly text: string;
  /** The next text of the model's reasoning, if the answer is read as a message. */
  readonly reasoning: string;
  /** The next pieces of tool calls. */
  readonly calls: readonly CallPiece[];
  /** The same pieces in the order in which they came. */
  readonly inOrder: readonly MessagePieces[];
  /** Reports of all tokens since the last delta, including tokens without visible text. Empty unless requested. */
  readonly reports: TokenReports;
  /** Reports of all tokens of the prompt, if they are not part of the text's. Null in all deltas but one, or if they are not requested. */
  readonly promptReports: TokenReports | null;
  /** Ids of all tokens since the last delta, without a stop token. Empty unless requested. */
  readonly ids: readonly number[];
  /** Set in the last delta of the choice. */
  readonly finish: FinishReason | null;
  readonly stopReason: StopReason;
}

/** Decodes one sequence of the fleet, up to its first stop string. */
export class Choice {
  /** Tokens generated, up to and including the one that completed a stop string. Excludes a stop token. */
  completionTokens = 0;
  /** Those of them with which the model reasons, and the marks around them. */
  reasoningTokens = 0;
  finish: FinishReason | null = null;
  private readonly plan: ChoicePlan;
  private readonly tokenizer: TextTokenizer;
  private readonly detokenizer: Detokenizer;
  private readonly stops: StopStrings;
  private readonly message: MessageReader | null;
  private readonly calls: WholeCall[] = [];
  private readonly logprobs: boolean;
  private readonly prompt: EchoedPrompt;
  /** Prompt tokens reported so far. */
  private promptReported = 0;
  private reports: TokenReports;
  private promptReports: TokenReports | null;
  private ids: number[] = [];
  private stopReason: StopReason = null;
  /** Code points decoded so far, including text held back for a possible stop string. */
  private offset = 0;

  constructor(plan: ChoicePlan, tokenizer: TextTokenizer) {
    this.plan = plan;
    this.tokenizer = tokenizer;
    this.detokenizer = new Detokenizer(tokenizer, {
      after: plan.request.tokens,
      skipSpecialTokens: !plan.show.specialTokens,
    });
    this.prompt = new EchoedPrompt(tokenizer, plan.echo ?? '');
    this.stops = new StopStrings(plan.stops, plan.show.stop);
    this.message = plan.message === null ? null : messageReader(plan.message.options);
    this.logprobs = plan.request.sampling.logprobs !== null;
    this.reports = this.newReports();
    this.promptReports = plan.request.sampling.promptAlternatives === undefined ? null : new TokenReports(tokenizer);
  }

  /** Consumes an event. Returns the delta, or null if there is no text to show yet. Do not call after `finish` is set. */
  take(event: FleetEvent): Delta | null {
    switch (event.type) {
      case 'start':
        return this.plan.request.sampling.promptLogprobs ? null : this.delta(this.echo());
      case 'prompt':
        this.reportPrompt(event.logprobs);
        return this.promptReported < this.plan.request.tokens.length ? null : this.delta(this.echo());
      case 'tokens':
        return this.delta(this.takeTokens(event.ids, event.logprobs ?? []));
      case 'end':
        return this.delta(this.takeEnd(event));
    }
  }

  private takeTokens(ids: readonly number[], logprobs: readonly TokenLogprobs[]): JoinedPieces {
    const pieces = new JoinedPieces();
    for (const [i, id] of ids.entries()) {
      this.completionTokens++;
      if (this.plan.show.tokenIds) this.ids.push(id);
      if (this.logprobs) this.reports.add(id, logprobs[i] ?? null, this.offset);
      const piece = this.pieceOf(id);
      this.offset += codePoints(withoutTokenMarks(piece));
      const canStop = this.completionTokens > this.plan.request.stopping.minTokens;
      const { text, stopped } = canStop ? this.stops.push(piece) : { text: piece, stopped: false };
      // Token by token, so that where the message is complete does not depend on how many tokens come at once.
      const wasThinking = this.message?.thinking ?? false;
      this.read(text, pieces);
      if (wasThinking || this.message?.thinking) this.reasoningTokens++;
      if (stopped) {
        this.finish = 'stop';
        this.stopReason = this.stops.found;
      }
      if (this.finish !== null) break;
    }
    return pieces;
  }

  /** A special token that marks a part of a message has a text for the reader of the message. */
  private pieceOf(id: number): string {
    const mark = this.plan.message?.marks.get(id);
    return mark === undefined ? this.detokenizer.push(id) : this.detokenizer.flush() + tokenText(mark);
  }

  private takeEnd({ reason, token }: Extract<FleetEvent, { type: 'end' }>): JoinedPieces {
    const stopToken = token !== null && this.plan.request.stopping.tokenIds.includes(token) ? token : null;
    const shown = stopToken !== null && this.plan.show.stop ? this.pieceOf(stopToken) : '';
    const { text, stopped } = this.stops.push(shown + this.detokenizer.flush());
    this.finish = stopped ? 'stop' : reason;
    this.stopReason = stopped ? this.stops.found : stopToken;
    const pieces = new JoinedPieces();
    this.read(text + this.stops.flush(), pieces);
    return pieces;
  }

  private echo(): JoinedPieces {
    const pieces = new JoinedPieces();
    const text = this.plan.echo ?? '';
    this.offset = codePoints(text);
    this.read(text, pieces);
    return pieces;
  }

  /** Reports the next prompt tokens; the events carry their log-probabilities in order. */
  private reportPrompt(logprobs: readonly (TokenLogprobs | null)[]): void {
    for (const ofToken of logprobs) {
      const id = this.plan.request.tokens[this.promptReported++]!;
      const { offset, shown } = this.prompt.next(id);
      (this.promptReports ?? this.reports).add(id, ofToken, offset, shown);
    }
  }

  /** Adds the parts of the message that a text continues. */
  private read(text: string, pieces: JoinedPieces): void {
    const { message } = this;
    pieces.add(message === null ? { text, reasoning: '', calls: [] } : message.push(text));
    if (message?.complete) this.finish ??= 'stop';
  }

  private delta(pieces: JoinedPieces): Delta | null {
    const { message } = this;
    const cut = this.finish === 'length' || typeof this.stopReason === 'string';
    if (message !== null && this.finish !== null) pieces.add(message.flush(cut));
    for (const piece of pieces.calls) addPiece(this.calls, piece);
    if (this.finish === 'stop' && message?.called && this.callsAreWhole) this.finish = 'tool_calls';
    const { text, reasoning, calls, inOrder } = pieces;
    if (text === '' && reasoning === '' && calls.length === 0 && this.finish === null) return null;
    const { reports, promptReports, ids, finish, stopReason } = this;
    this.reports = this.newReports();
    this.promptReports = null;
    this.ids = [];
    return { index: this.plan.index, text, reasoning, calls, inOrder, reports, promptReports, ids, finish, stopReason };
  }

  /** A stop string or the model itself may have ended the answer within a call, which the client must not make. */
  private get callsAreWhole(): boolean {
    return this.calls.every((call) => argumentsOf(call.arguments) !== null);
  }

  private newReports(): TokenReports {
    return new TokenReports(this.tokenizer, this.plan.show.tokensAsIds);
  }
}
