import type { AnswerParts, AnswerShape, WholeChoice } from './answer-shape.js';
import type { Delta, FinishReason, StopReason } from './choice.js';
import { jsonInTurns } from './json-in-turns.js';
import type { LogprobShare } from './logprob-room.js';
import { addPiece, type WholeCall } from './message/whole-call.js';
import type { TextTokenizer } from './served-model.js';
import type { Tally } from './tally.js';
import { TokenReports } from './token-reports.js';

/** Builds the answer to a request, whole or in chunks. */

/** The fields that start a whole answer and each chunk. */
export interface AnswerHead {
  readonly id: string;
  /** Unix time in seconds. */
  readonly created: number;
  readonly model: string;
}

export interface AnswerOptions {
  readonly head: AnswerHead;
  readonly shape: AnswerShape;
  readonly tally: Tally;
  readonly parts: AnswerParts;
  /** Ids of the prompt of a choice, by its index. */
  readonly promptIds: (choice: number) => readonly number[];
}

export interface WholeAnswerOptions extends AnswerOptions {
  readonly tokenizer: TextTokenizer;
  /** Grows with the log-probabilities accumulated for the answer. */
  readonly share: LogprobShare;
}

/** Collects the whole answer. Throws `Overloaded` if there is no room for its log-probabilities. */
export async function wholeAnswer(
  deltas: AsyncIterable<Delta>,
  { head, shape, tally, parts, promptIds, tokenizer, share }: WholeAnswerOptions,
): Promise<object> {
  const choices = new Map<number, GrowingChoice>();
  let held = 0;
  for await (const delta of deltas) {
    const choice =
      choices.get(delta.index) ?? new GrowingChoice(delta.index, new TokenReports(tokenizer, parts.tokensAsIds));
    choices.set(delta.index, choice);
    held += delta.reports.logprobs + (delta.promptReports?.logprobs ?? 0);
    share.growTo(held);
    choice.add(delta);
  }
  const inOrder = [...choices.values()].sort((a, b) => a.index - b.index);
  const promptOf = (choice: GrowingChoice) => ({
    ...(parts.promptLogprobs ? { prompt_logprobs: promptLogprobsOf(choice.promptReports) } : {}),
    ...(parts.tokenIds ? { prompt_token_ids: promptIds(choice.index) } : {}),
  });
  const whole = inOrder.map((choice) => ({
    ...shape.whole(choice.whole(), parts),
    ...(shape.promptParts === 'choice' ? promptOf(choice) : {}),
  }));
  return {
    id: head.id,
    object: shape.wholeObject,
    created: head.created,
    model: head.model,
    choices: whole,
    ...(shape.promptParts === 'answer' ? promptOf(inOrder[0]!) : {}),
    ...usageOf(tally),
  };
}

/** Which chunks of a stream have the usage so far: none, one at the end, or each. */
export type StreamUsage = 'none' | 'last' | 'each';

/** A chunk with more log-probabilities is serialized in turns. */
const CHUNK_LOGPROBS = 1_024;

/** The JSON texts of the answer's chunks, one for each delta, then one with the usage unless `usage` is `none`. */
export async function* answerChunks(
  deltas: AsyncIterable<Delta>,
  { head, shape, tally, parts, promptIds, usage }: AnswerOptions & { readonly usage: StreamUsage },
  signal: AbortSignal,
): AsyncGenerator<string, void> {
  const started = new Set<number>();
  const { id, created, model } = head;
  const chunk = { id, object: shape.chunkObject, created, model };
  // All chunks begin alike.
  const begin = `${JSON.stringify(chunk).slice(0, -1)},"choices":[`;
  for await (const delta of deltas) {
    const first = !started.has(delta.index);
    started.add(delta.index);
    const ids = first && parts.tokenIds ? { prompt_token_ids: promptIds(delta.index) } : {};
    const own = shape.chunk(delta, parts, first);
    const choice = shape.promptParts === 'choice' ? { ...own, ...ids } : own;
    const ofAnswer = {
      ...(shape.promptParts === 'answer' ? ids : {}),
      ...(usage === 'none' ? {} : { usage: usage === 'each' ? tally.usage : null }),
    };
    const isLong = delta.reports.logprobs > CHUNK_LOGPROBS;
    yield begin + (isLong ? await jsonInTurns(choice, signal) : JSON.stringify(choice)) + endOf(ofAnswer);
  }
  if (usage !== 'none') yield JSON.stringify({ ...chunk, choices: [], ...usageOf(tally) });
}

/** The end of a chunk after its choices, with these fields. */
function endOf(fields: object): string {
  const text = JSON.stringify(fields);
  return text === '{}' ? ']}' : `],${text.slice(1)}`;
}

/** Shoal's own usage appears both in `usage` and next to it: some gateways forward only `usage`. */
function usageOf(tally: Tally): object {
  const { usage } = tally;
  return { usage, shoal: usage.shoal };
}

/** As in vLLM: for each token, the log-probabilities by token id, of the token and of its alternatives; null for the first. */
function promptLogprobsOf(reports: TokenReports | null): readonly object[] {
  return (
    reports?.mapLazily(({ id, text, logprob, rank, top }) => {
      if (logprob === null) return null;
      const entries = top.map((other, i): [number, object] => [
        other.id,
        { logprob: other.logprob, rank: i + 1, decoded_token: other.text },
      ]);
      return Object.fromEntries([[id, { logprob, rank, decoded_token: text }], ...entries]);
    }) ?? []
  );
}

class GrowingChoice {
  private readonly texts: string[] = [];
  private reasoning = '';
  private readonly calls: WholeCall[] = [];
  private finish: FinishReason = 'length';
  private stopReason: StopReason = null;
  private readonly ids: number[] = [];
  promptReports: TokenReports | null = null;

  constructor(
    readonly index: number,
    private readonly reports: TokenReports,
  ) {}

  add(delta: Delta): void {
    this.texts.push(delta.text);
    this.reasoning += delta.reasoning;
    for (const piece of delta.calls) addPiece(this.calls, piece);
    this.reports.append(delta.reports);
    this.promptReports ??= delta.promptReports;
    for (const id of delta.ids) this.ids.push(id);
    if (delta.finish === null) return;
    this.finish = delta.finish;
    this.stopReason = delta.stopReason;
  }

  whole(): WholeChoice {
    const { index, reasoning, reports, finish, stopReason, ids } = this;
    const calls = this.calls.filter(({ isNone }) => !isNone);
    return { index, text: this.texts.join(''), reasoning, calls, reports, finish, stopReason, ids };
  }
}
