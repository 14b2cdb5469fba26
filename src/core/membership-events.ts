import type { RingMember } from './epoch.js';
import type { Announcement, Member, PeerAddress } from './member.js';

/** The events and the effects of membership. */

/** What membership is told. */
export type MembershipEvent =
  | { readonly type: 'announced'; readonly announcement: Announcement }
  /** A worker said that it goes. */
  | { readonly type: 'leaving'; readonly id: string; readonly incarnation: string }
  /** An established connection to a worker closed. Not: one could not be established. Of which incarnation, where that is known. */
  | { readonly type: 'linkClosed'; readonly id: string; readonly incarnation?: string }
  | { readonly type: 'probeAnswered'; readonly id: string; readonly incarnation: string }
  | { readonly type: 'probeFailed'; readonly id: string; readonly incarnation: string }
  | { readonly type: 'busLost' }
  | { readonly type: 'busFound' }
  /** To come at least every `ANNOUNCE_INTERVAL_MS`. */
  | { readonly type: 'tick' };

/** What membership wants done, or known. */
export type MembershipEffect =
  /** Ask this worker directly whether it lives; answer with `probeAnswered` or `probeFailed` within `PROBE_TIMEOUT_MS`. */
  | { readonly type: 'probe'; readonly id: string; readonly incarnation: string; readonly address: PeerAddress }
  | { readonly type: 'joined'; readonly id: string; readonly incarnation: string }
  | { readonly type: 'suspect'; readonly id: string; readonly incarnation: string; readonly cause: 'link' | 'silence' }
  /** A suspect proved that it lives. */
  | { readonly type: 'cleared'; readonly id: string; readonly incarnation: string }
  /** `fenced`: a newer incarnation of the same worker took its place. If it is our own, there are two of us: go. */
  | {
      readonly type: 'dead';
      readonly id: string;
      readonly incarnation: string;
      readonly cause: 'link' | 'silence' | 'fenced';
    }
  | { readonly type: 'left'; readonly id: string; readonly incarnation: string }
  /** An announcement was not accepted. */
  | {
      readonly type: 'refused';
      readonly id: string;
      readonly incarnation: string;
      readonly reason: Refusal;
      readonly message: string;
      /** False where the same was refused for the same reason before. */
      readonly first: boolean;
    }
  /** Anything of the view other than load changed. At most one a step, and the last. */
  | { readonly type: 'changed'; readonly view: MembershipView };

/** `stale`: this incarnation is dead or fenced; its worker may come back under a new one. */
export type Refusal = 'fingerprint' | 'stale' | 'full';

export interface MembershipView {
  /** Changes with `ring` and with nothing else. */
  readonly epoch: string;
  /** Who has a place on the ring: serving, or suspect of not doing so any more. */
  readonly ring: readonly RingMember[];
  /** Everybody, by id; the dead until they are forgotten. */
  readonly members: readonly Member[];
}
