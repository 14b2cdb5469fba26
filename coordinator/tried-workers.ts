import type { Route } from '../src/actors/route.js';
import type { Member } from '../src/core/member.js';
import type { Failures } from './attempts.js';
import { instanceOf } from './poison/trial.js';
import type { Restarts } from './restarts.js';

/** The workers that a request is not tried on again. */

/** The routes over which a worker may be tried again whose direct connection broke. */
export type RouteAgain = 'direct' | 'any';

/**
 * The ids of the members whose present incarnation has failed or refused the request. A worker that was declared dead and is back does not count: it
 * was paused. Nor does one whose connection broke, once it is connected again; over NATS, once it has been heard again.
 */
export function triedWorkers(
  { tried, cutOff, unheard }: Failures,
  members: readonly Member[],
  restarts: Pick<Restarts, 'isBack' | 'isHeard'>,
  routeTo: (member: Member) => Pick<Route, 'kind' | 'open'>,
  again: RouteAgain,
): Set<string> {
  // As it is for the first attempt of every request.
  if (tried.size === 0) return new Set();
  const isTried = (member: Member) => {
    const instance = instanceOf(member.id, member.incarnation);
    if (!tried.has(instance)) return false;
    const lostMs = unheard.get(instance) ?? Number.POSITIVE_INFINITY;
    if (restarts.isBack(instance, lostMs)) return false;
    if (!cutOff.has(instance)) return true;
    const { kind, open } = routeTo(member);
    return kind !== 'direct' && !(again === 'any' && open && restarts.isHeard(instance, lostMs));
  };
  return new Set(members.filter(isTried).map(({ id }) => id));
}
