import type { Happening, HappeningKind } from '../../src/console/feed-messages.js';
import { type RequestAttempt, type RequestTrace, resumedOf, workerOfAttempt } from '../feed/request-trace.js';
import { counted } from './words.js';

/** Who was lost while a request ran, and who continued it. Pure. */

const DEATHS: ReadonlySet<HappeningKind> = new Set(['dead', 'restarted', 'left']);

/** One sentence for each worker that did not finish the request, without a full stop. @param happened newest first */
export function movesOf({ attempts }: RequestTrace, happened: readonly Happening[]): string[] {
  return attempts.slice(1).map((next, index) => moveText(attempts[index]!, next, happened));
}

function moveText(before: RequestAttempt, next: RequestAttempt, happened: readonly Happening[]): string {
  const [from, to] = [workerOfAttempt(before) ?? 'a worker', workerOfAttempt(next) ?? 'another worker'];
  const resumed = resumedOf(next);
  if (resumed > resumedOf(before))
    return `${from} ${lossOf(before, happened)} after ${counted(resumed, 'token')} of the answer; ${to} continued`;
  if (before.started !== null) return `${from} began, but gave no token; ${to} took over`;
  return `${from} did not begin; ${to} took over`;
}

/** How the worker of an attempt was lost: a worker that was cut off comes back in the same process. */
export function lossOf(attempt: RequestAttempt, happened: readonly Happening[]): 'died' | 'was lost' {
  const worker = workerOfAttempt(attempt);
  const since = attempt.started?.at ?? attempt.placed?.at ?? Number.POSITIVE_INFINITY;
  const later = happened.filter((each) => each.worker === worker && each.at >= since).toReversed();
  const death = later.findIndex(({ kind }) => DEATHS.has(kind));
  const next = later.slice(death + 1).find(({ kind }) => kind === 'back' || kind === 'restarted');
  return death === -1 || next?.kind === 'back' ? 'was lost' : 'died';
}
