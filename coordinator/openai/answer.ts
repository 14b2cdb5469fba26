import type { AnswerShape, WholeChoice } from './answer-shape.js';
import type { Delta, FinishReason } from './choice.js';
import { jsonInTurns } from './json-in-turns.js';
import type { LogprobShare } from './logprob-room.js';
import type { TextTokenizer } from './served-model.js';
import type { Tally } from './tally.js';
import { TokenReports } from './token-reports.js';

/** Builds the answer to a request, whole or in chunks. */

/** The fields that start a whole answer and each chunk. */
interface AnswerHead {
  readonly id: string;
  /** Unix time in seconds. */
  readonly created: number;
  readonly model: string;
}

export interface AnswerOptions {
  readonly head: AnswerHead;
  readonly shape: AnswerShape;
  readonly tally: Tally;
  /** Whether the request asked for log-probabilities. */
  readonly logprobs: boolean;
}

export interface WholeAnswerOptions extends AnswerOptions {
  readonly tokenizer: TextTokenizer;
  /** Grows with the log-probabilities accumulated for the answer. */
  readonly share: LogprobShare;
}

/** Collects the whole answer. Throws `Overloaded` if there is no room for its log-probabilities. */
export async function wholeAnswer(
  deltas: AsyncIterable<Delta>,
  { head, shape, tally, logprobs, tokenizer, share }: WholeAnswerOptions,
): Promise<object> {
  const choices = new Map<number, GrowingChoice>();
  let held = 0;
  for await (const delta of deltas) {
    const choice = choices.get(delta.index) ?? new GrowingChoice(delta.index, new TokenReports(tokenizer));
    choices.set(delta.index, choice);
    held += delta.reports.logprobs;
    share.growTo(held);
    choice.add(delta);
  }
  const whole = [...choices.values()]
    .sort((a, b) => a.index - b.index)
    .map((choice) => shape.whole(choice.whole(), logprobs));
  return {
    id: head.id,
    object: shape.wholeObject,
    created: head.created,
    model: head.model,
    choices: whole,
    ...usageOf(tally),
  };
}

/** A chunk with more log-probabilities is serialized in turns. */
const CHUNK_LOGPROBS = 1_024;

/** The JSON texts of the answer's chunks, one for each delta, then one with the usage if `includeUsage`. */
export async function* answerChunks(
  deltas: AsyncIterable<Delta>,
  { head, shape, tally, logprobs, includeUsage }: AnswerOptions & { readonly includeUsage: boolean },
  signal: AbortSignal,
): AsyncGenerator<string, void> {
  const started = new Set<number>();
  const { id, created, model } = head;
  const chunk = { id, object: shape.chunkObject, created, model };
  // All chunks begin and end alike.
  const begin = `${JSON.stringify(chunk).slice(0, -1)},"choices":[`;
  const end = includeUsage ? '],"usage":null}' : ']}';
  for await (const delta of deltas) {
    const choice = shape.chunk(delta, logprobs, !started.has(delta.index));
    started.add(delta.index);
    const isLong = delta.reports.logprobs > CHUNK_LOGPROBS;
    yield begin + (isLong ? await jsonInTurns(choice, signal) : JSON.stringify(choice)) + end;
  }
  if (includeUsage) yield JSON.stringify({ ...chunk, choices: [], ...usageOf(tally) });
}

/** Shoal's own usage appears both in `usage` and beside it: some gateways forward only `usage`. */
function usageOf(tally: Tally): object {
  const { usage } = tally;
  return { usage, shoal: usage.shoal };
}

class GrowingChoice {
  private readonly texts: string[] = [];
  private finish: FinishReason = 'length';

  constructor(
    readonly index: number,
    private readonly reports: TokenReports,
  ) {}

  add(delta: Delta): void {
    this.texts.push(delta.text);
    this.reports.append(delta.reports);
    if (delta.finish !== null) this.finish = delta.finish;
  }

  whole(): WholeChoice {
    return { index: this.index, text: this.texts.join(''), reports: this.reports, finish: this.finish };
  }
}
