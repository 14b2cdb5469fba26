import type { Delta } from './choice.js';

/** Answers in the form of other APIs than completions and chats, with one choice. */

/** An event with its type, under which clients look for it. */
export interface NamedEvent {
  readonly type: string;
}

/** Turns the deltas of an answer into the events of an API, and into its whole answer. */
export interface AnswerBuilder {
  begin(): readonly NamedEvent[];
  take(delta: Delta): readonly NamedEvent[];
  /** After the last delta. Resolves once the answer is stored, where it is to be. */
  end(): readonly NamedEvent[] | Promise<readonly NamedEvent[]>;
  /** The whole answer, after `end`. */
  whole(): object;
}

export async function translatedAnswer(deltas: AsyncIterable<Delta>, builder: AnswerBuilder): Promise<object> {
  for await (const delta of deltas) builder.take(delta);
  await builder.end();
  return builder.whole();
}

/** The events of an answer. The first comes with the first delta, so that an earlier failure has its status. */
export async function* translatedEvents(
  deltas: AsyncIterable<Delta>,
  builder: AnswerBuilder,
): AsyncGenerator<NamedEvent, void> {
  let begun = false;
  for await (const delta of deltas) {
    if (!begun) yield* builder.begin();
    begun = true;
    yield* builder.take(delta);
  }
  if (!begun) yield* builder.begin();
  yield* await builder.end();
}
