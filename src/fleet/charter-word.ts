import type { Bus } from '../bus/bus.js';
import type { Clock } from '../clock.js';
import { encode } from '../wire/msgpack.js';
import { readMessage } from '../wire/read-message.js';
import { isSameFleet, misfit, StoredCharter } from './charter.js';
import { tryPublish } from './try-publish.js';

/** Compares charters over the bus, where no stored one can be used. */

/** How long members may take to answer. */
const ANSWERS_MS = 2_500;
/** Least time between two answers of a member. */
const ANSWER_INTERVAL_MS = 1_000;

export interface CharterWordOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  /** The subject on which members tell their charters. */
  readonly hello: string;
}

/** Tells the members one's own charter, and resolves with how that of a member differs from it; with null if none answers. */
export async function contradiction(
  { bus, clock, hello }: CharterWordOptions,
  own: StoredCharter,
): Promise<string | null> {
  return await new Promise((resolve) => {
    const done = (difference: string | null) => {
      timer.cancel();
      subscription.unsubscribe();
      resolve(difference);
    };
    const timer = clock.after(ANSWERS_MS, () => done(null));
    const subscription = bus.subscribe(hello, ({ payload }) => {
      const difference = readMessage(StoredCharter, payload) && misfit(payload, own);
      if (difference !== null) done(difference);
    });
    tryPublish(bus, hello, encode(own));
  });
}

/** Answers members that tell another charter, until the returned function is called. */
export function speakFor({ bus, clock, hello }: CharterWordOptions, own: StoredCharter): () => void {
  let saidMs = Number.NEGATIVE_INFINITY;
  const subscription = bus.subscribe(hello, ({ payload }) => {
    const theirs = payload.byteLength === 0 ? null : readMessage(StoredCharter, payload);
    if (theirs === null || isSameFleet(theirs, own) || clock.now() - saidMs < ANSWER_INTERVAL_MS) return;
    saidMs = clock.now();
    tryPublish(bus, hello, encode(own));
  });
  return () => subscription.unsubscribe();
}
