import type { AnswerShape, WholeChoice } from './answer-shape.js';
import type { Delta, FinishReason } from './choice.js';
import type { Tally } from './tally.js';
import type { TokenReport } from './token-report.js';

/** What all parts of an answer begin with. */
export interface AnswerHead {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
}

export interface AnswerOptions {
  readonly head: AnswerHead;
  readonly shape: AnswerShape;
  readonly tally: Tally;
  /** Whether log-probabilities were asked for. */
  readonly logprobs: boolean;
}

/** The answer in one piece, once all of it is there. */
export async function wholeAnswer(
  deltas: AsyncIterable<Delta>,
  { head, shape, tally, logprobs }: AnswerOptions,
): Promise<object> {
  const choices = new Map<number, GrowingChoice>();
  for await (const delta of deltas) {
    const choice = choices.get(delta.index) ?? new GrowingChoice(delta.index);
    choices.set(delta.index, choice);
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

/** The answer in pieces, one a delta; the last, if asked for, says what it cost. */
export async function* answerChunks(
  deltas: AsyncIterable<Delta>,
  { head, shape, tally, logprobs, includeUsage }: AnswerOptions & { readonly includeUsage: boolean },
): AsyncGenerator<object, void> {
  const begun = new Set<number>();
  const { id, created, model } = head;
  const chunk = { id, object: shape.chunkObject, created, model };
  for await (const delta of deltas) {
    const choice = shape.chunk(delta, logprobs, !begun.has(delta.index));
    begun.add(delta.index);
    yield { ...chunk, choices: [choice], ...(includeUsage ? { usage: null } : {}) };
  }
  if (includeUsage) yield { ...chunk, choices: [], ...usageOf(tally) };
}

/** What is shoal's own stands beside `usage`, and in it too: gateways that hand on nothing else of an answer hand on that. */
function usageOf(tally: Tally): object {
  const { usage } = tally;
  return { usage, shoal: usage.shoal };
}

class GrowingChoice {
  readonly #texts: string[] = [];
  readonly #reports: TokenReport[] = [];
  #finish: FinishReason = 'length';

  constructor(readonly index: number) {}

  add(delta: Delta): void {
    this.#texts.push(delta.text);
    for (const report of delta.reports) this.#reports.push(report);
    if (delta.finish !== null) this.#finish = delta.finish;
  }

  whole(): WholeChoice {
    return { index: this.index, text: this.#texts.join(''), reports: this.#reports, finish: this.#finish };
  }
}
