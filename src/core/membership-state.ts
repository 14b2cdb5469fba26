import { Entries } from './entries.js';
import { epochOf, type RingMember } from './epoch.js';
import { type Hearing, startHearing } from './hearing.js';
import { type Announcement, isSameAddress, type Member, type MemberState } from './member.js';
import type { MembershipView } from './membership-events.js';
import type { OwnRank } from './own-rank.js';

/** The state of membership, and the view derived from it. */

/** This process's judgement of a worker, independent of the state that the worker announces. */
export type Standing =
  | { readonly kind: 'trusted' }
  /** Silent on the bus, but a probe was answered. It is probed repeatedly, without becoming suspect again. */
  | {
      readonly kind: 'vouched';
      readonly sinceMs: number;
      readonly probing: boolean;
      readonly probeFailed: boolean;
    }
  | {
      readonly kind: 'suspect';
      readonly cause: 'link' | 'silence';
      readonly sinceMs: number;
      readonly probeFailed: boolean;
    }
  | { readonly kind: 'dead' | 'left'; readonly sinceMs: number };

export interface Entry {
  readonly announcement: Announcement;
  readonly heardAtMs: number;
  readonly standing: Standing;
}

export interface MembershipState {
  /** This worker's own rank; null for a coordinator. */
  readonly self: OwnRank | null;
  readonly fingerprint: string;
  readonly entries: Entries<Entry>;
  /** Reason and incarnation of the last refusal of each ID, so that a repeated refusal is not reported again. */
  readonly refusals: ReadonlyMap<string, string>;
  readonly hearing: Hearing;
  /** Names of the makers that are quarantined. */
  readonly quarantined: ReadonlySet<string>;
}

/** The state without members. A worker passes its own rank as `self`. It is never suspect to itself, and also applies its own announcements. */
export function emptyMembership(self: OwnRank | null, fingerprint: string, nowMs: number): MembershipState {
  return {
    self,
    fingerprint,
    entries: Entries.none(),
    refusals: new Map(),
    hearing: startHearing(nowMs),
    quarantined: new Set(),
  };
}

/** The view of the current state. Load comes from the last announcements. */
export function viewOf(state: MembershipState): MembershipView {
  const ring = inOrder(state)
    .filter(hasPlace)
    .map(({ announcement }) => ringMember(announcement));
  return { epoch: epochOf(ring), ring, members: membersOf(state) };
}

/** The members of the view, which cost less than the view. */
export function membersOf(state: MembershipState): Member[] {
  return inOrder(state)
    .filter((entry) => entry.standing.kind !== 'left')
    .map((e): Member => ({ ...e.announcement, state: stateOf(e) }));
}

function inOrder(state: MembershipState): Entry[] {
  return Array.from(state.entries, ([, entry]) => entry).sort((a, b) =>
    a.announcement.id < b.announcement.id ? -1 : 1,
  );
}

function ringMember({ id, incarnation, budget }: Announcement): RingMember {
  return { id, incarnation, weight: budget.device + budget.host };
}

function hasPlace(entry: Entry): boolean {
  return !isGone(entry) && entry.announcement.state === 'serving';
}

export function isGone({ standing }: Entry): boolean {
  return standing.kind === 'dead' || standing.kind === 'left';
}

function stateOf({ announcement, standing }: Entry): MemberState {
  if (standing.kind === 'dead' || standing.kind === 'left') return 'dead';
  return standing.kind === 'suspect' ? 'suspect' : announcement.state;
}

/** Whether the view shows two states of an entry alike, apart from load. */
export function looksAlike(a: Entry | undefined, b: Entry | undefined): boolean {
  if (!isInView(a) || !isInView(b)) return isInView(a) === isInView(b);
  return stateOf(a) === stateOf(b) && isSameMember(a.announcement, b.announcement);
}

function isInView(entry: Entry | undefined): entry is Entry {
  return entry !== undefined && entry.standing.kind !== 'left';
}

function isSameMember(a: Announcement, b: Announcement): boolean {
  if (a === b) return true;
  const [here, there] = [ringMember(a), ringMember(b)];
  return (
    here.id === there.id &&
    here.incarnation === there.incarnation &&
    here.weight === there.weight &&
    a.state === b.state &&
    isSameAddress(a.address, b.address)
  );
}
