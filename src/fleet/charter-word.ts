import { z } from 'zod';
import type { Bus } from '../bus/bus.js';
import type { Clock } from '../clock.js';
import { encode } from '../wire/msgpack.js';
import { readMessage } from '../wire/read-message.js';
import { isSameFleet, misfit, StoredCharter } from './charter.js';
import { tryPublish } from './try-publish.js';

/**
 * Compares charters over the bus, where no stored one can be used. A process that starts asks, and only members answer: what a process that asks too says of
 * itself proves nothing.
 */

/** Least time between two answers of a member. */
export const ANSWER_INTERVAL_MS = 1_000;
/** A question can come right after an answer to another process. */
const ASK_INTERVAL_MS = ANSWER_INTERVAL_MS + 100;
const QUESTIONS = 3;

const Question = z.strictObject({ asks: StoredCharter });

export interface CharterWordOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  /** The subject on which members tell their charters. */
  readonly hello: string;
}

/** The charter of a process that asks whether members have another one; null for any other message. */
export function askedAbout(payload: Uint8Array): StoredCharter | null {
  return payload.byteLength === 0 ? null : (readMessage(Question, payload)?.asks ?? null);
}

/** The charter that a member says it has; null for any other message. */
export function saidBy(payload: Uint8Array): StoredCharter | null {
  return payload.byteLength === 0 ? null : readMessage(StoredCharter, payload);
}

/** Asks the members, and resolves with how the charter of one of them differs from `own`; with null if none answers that it does. */
export async function contradiction(
  { bus, clock, hello }: CharterWordOptions,
  own: StoredCharter,
): Promise<string | null> {
  return await new Promise((resolve) => {
    let asked = 0;
    const ask = () => {
      if (asked++ === QUESTIONS) done(null);
      else tryPublish(bus, hello, encode({ asks: own } satisfies z.infer<typeof Question>));
    };
    const timer = clock.every(ASK_INTERVAL_MS, ask);
    const subscription = bus.subscribe(hello, ({ payload }) => {
      const difference = saidBy(payload) && misfit(payload, own);
      if (difference !== null) done(difference);
    });
    const done = (difference: string | null) => {
      timer.cancel();
      subscription.unsubscribe();
      resolve(difference);
    };
    ask();
  });
}

/** Answers processes that ask about another charter, for a member without a stored one, until the returned function is called. */
export function speakFor({ bus, clock, hello }: CharterWordOptions, own: StoredCharter): () => void {
  let saidMs = Number.NEGATIVE_INFINITY;
  const subscription = bus.subscribe(hello, ({ payload }) => {
    const theirs = askedAbout(payload);
    if (theirs === null || isSameFleet(theirs, own) || clock.now() - saidMs < ANSWER_INTERVAL_MS) return;
    saidMs = clock.now();
    tryPublish(bus, hello, encode(own));
  });
  return () => subscription.unsubscribe();
}
