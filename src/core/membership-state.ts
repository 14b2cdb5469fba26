import { epochOf, type RingMember } from './epoch.js';
import type { Announcement, Member, MemberState } from './member.js';
import type { MembershipView } from './membership-events.js';

/** What membership remembers, and the view that others get of it. */

/** What this process makes of a worker, whatever that says of itself. */
export type Standing =
  | { readonly kind: 'trusted' }
  /** Silent, but a probe was answered: probed again and again, without a word about it. */
  | { readonly kind: 'vouched'; readonly sinceMs: number; readonly probing: boolean }
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
  readonly self: string | null;
  readonly fingerprint: string;
  readonly entries: ReadonlyMap<string, Entry>;
  /** What was refused last of each id, so that it is reported once. */
  readonly refusals: ReadonlyMap<string, string>;
  readonly busLost: boolean;
  readonly steppedAtMs: number;
  /** Nobody is blamed for what he did not say before. */
  readonly judgeFromMs: number;
}

/** A fleet of nobody. `self`, if it is a worker, is never suspect; feed its own announcements too. */
export function emptyMembership(self: string | null, fingerprint: string, nowMs: number): MembershipState {
  return {
    self,
    fingerprint,
    entries: new Map(),
    refusals: new Map(),
    busLost: false,
    steppedAtMs: nowMs,
    judgeFromMs: nowMs,
  };
}

/** The members as the rest of the process sees them; load as of their last announcements. */
export function viewOf(state: MembershipState): MembershipView {
  const entries = [...state.entries.values()].sort((a, b) => (a.announcement.id < b.announcement.id ? -1 : 1));
  const ring = entries.filter(hasPlace).map(({ announcement }) => ringMember(announcement));
  const members = entries
    .filter((entry) => entry.standing.kind !== 'left')
    .map((e): Member => ({ ...e.announcement, state: stateOf(e) }));
  return { epoch: epochOf(ring), ring, members };
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

/** What of an entry the view shows, load aside. */
export function visible(entry: Entry | undefined): string {
  if (entry === undefined || entry.standing.kind === 'left') return '';
  return JSON.stringify([
    stateOf(entry),
    entry.announcement.state,
    ringMember(entry.announcement),
    entry.announcement.address,
  ]);
}
