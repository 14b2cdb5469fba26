import type { Roster } from '../../src/fleet/roster.js';

/** The incarnations of all workers that have not died or left. */
export function incarnationsOf(roster: Pick<Roster, 'members'>): ReadonlyMap<string, string> {
  const alive = roster.members().filter(({ state }) => state !== 'dead');
  return new Map(alive.map(({ id, incarnation }) => [id, incarnation]));
}
