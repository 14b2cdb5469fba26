import { LOOP_TURNS } from '../../src/async/loop-turns.js';
import type { Holdings } from '../../src/core/holdings.js';
import type { Member } from '../../src/core/member.js';

/** Whether a worker can end without the loss of a request or of the last copy of a block. */

export interface Departure {
  readonly state: Member['state'];
  readonly running: number;
  readonly waiting: number;
  readonly blocks: number;
  /** Its blocks that no serving worker holds; null while the index of this coordinator lags behind the worker. */
  readonly lastCopies: number | null;
  readonly safe: boolean;
  readonly why: string;
}

/** Looks through the index in turns of the event loop, since a worker may have a million blocks. */
export async function departureOf(
  worker: Member,
  members: () => readonly Member[],
  holdings: Pick<Holdings, 'lastCopies'>,
): Promise<Departure> {
  const serving = new Set(
    members()
      .filter(({ id, state }) => id !== worker.id && state === 'serving')
      .map(({ id }) => id),
  );
  const counting = holdings.lastCopies(worker.id, worker.holdingsSeq, (other) => serving.has(other));
  let step = counting.next();
  for (; step.done !== true; step = counting.next()) await LOOP_TURNS.next();
  const { state, running, waiting, blocks } = worker;
  const lastCopies = step.value;
  const fault = faultOf(worker, lastCopies, serving.size);
  return {
    state,
    running,
    waiting,
    blocks,
    lastCopies,
    safe: fault === null,
    why: fault ?? 'it has no request, and no last copy',
  };
}

/** Why the worker must not end yet; null if it may. */
function faultOf({ state, running, waiting }: Member, lastCopies: number | null, others: number): string | null {
  if (state === 'dead') return null;
  if (state !== 'draining') return `it is ${state}; drain it first`;
  if (running + waiting > 0) return `${running + waiting} requests have not ended`;
  if (lastCopies === null) return 'this coordinator does not know all of its blocks yet; ask again';
  if (lastCopies === 0) return null;
  return others === 0
    ? `${lastCopies} blocks have no other copy, and no other worker serves`
    : `${lastCopies} blocks have no other copy yet`;
}
