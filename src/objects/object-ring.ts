import type { Member } from '../core/member.js';
import type { Roster } from '../fleet/roster.js';
import type { ObjectHash } from './object-name.js';

/** Which workers have which objects: the ring of the fleet, and the standing of its members. */

/** `live`: it serves, and must have all acknowledged objects; `suspect`: it is silent; `gone`: it is dead or has left. */
export type HomeStanding = 'live' | 'suspect' | 'gone';

export interface ObjectRing {
  readonly epoch: string;
  /** The homes of an object, the first one first. */
  homes(hash: ObjectHash): readonly string[];
  /** The homes, and the workers that were homes before some of them joined. */
  heirs(hash: ObjectHash): readonly string[];
  standing(worker: string): HomeStanding;
  /** All workers that are not gone, with or without a place on the ring. */
  workers(): readonly string[];
  /** The homes on the ring as it is now, also when the ring has changed. */
  snapshot(): (hash: ObjectHash) => readonly string[];
}

/** Workers that may join at once before an object is looked for in too few places. @internal exported for tests. */
export const JOINERS = 4;

/** The ring that a process computes from its member list. */
export class RosterRing implements ObjectRing {
  private members: readonly Member[] = [];
  private states = new Map<string, Member['state']>();

  constructor(
    private readonly roster: Roster,
    private readonly replicas: number,
  ) {}

  get epoch(): string {
    return this.roster.epoch;
  }

  homes(hash: ObjectHash): readonly string[] {
    return this.roster.ring.homes(hash, this.replicas);
  }

  heirs(hash: ObjectHash): readonly string[] {
    return this.roster.ring.homes(hash, this.replicas + JOINERS);
  }

  standing(worker: string): HomeStanding {
    const state = this.current().get(worker);
    if (state === undefined || state === 'dead') return 'gone';
    return state === 'suspect' ? 'suspect' : 'live';
  }

  workers(): readonly string[] {
    return [...this.current()].filter(([, state]) => state !== 'dead').map(([id]) => id);
  }

  snapshot(): (hash: ObjectHash) => readonly string[] {
    const { ring } = this.roster;
    return (hash) => ring.homes(hash, this.replicas);
  }

  private current(): ReadonlyMap<string, Member['state']> {
    const members = this.roster.members();
    if (members !== this.members) {
      this.members = members;
      this.states = new Map(members.map(({ id, state }) => [id, state]));
    }
    return this.states;
  }
}
