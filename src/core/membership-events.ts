import type { RingMember } from './epoch.js';
import type { Maker } from './maker.js';
import type { Announcement, Member, PeerAddress } from './member.js';
import type { ProcessRank, Rank } from './rank.js';

/** The events and effects of membership, and its view of the fleet. */

/** An input of membership. */
export type MembershipEvent =
  | { readonly type: 'announced'; readonly announcement: Announcement }
  /** A worker announced that it leaves. */
  | { readonly type: 'leaving'; readonly id: string; readonly incarnation: string }
  /** An established connection to a worker closed; a failed dial does not count. `incarnation` is absent if it is unknown. */
  | { readonly type: 'linkClosed'; readonly id: string; readonly incarnation?: string }
  | { readonly type: 'probeAnswered'; readonly id: string; readonly incarnation: string }
  | { readonly type: 'probeFailed'; readonly id: string; readonly incarnation: string }
  | { readonly type: 'busLost' }
  | { readonly type: 'busFound' }
  /** The bus delivered a message of this process to itself. Required at least every `ANNOUNCE_INTERVAL_MS`, or this process counts as deaf. */
  | { readonly type: 'echoed' }
  /** A member refuses this worker's announcements, because the member knows this latest rank of the worker's ID. */
  | { readonly type: 'refusedBy'; readonly latest: Rank }
  /** This incarnation made wrong blocks: it is no longer a member, and cannot refute that. */
  | { readonly type: 'quarantined'; readonly maker: Maker }
  /** It may join again. */
  | { readonly type: 'pardoned'; readonly maker: Maker }
  /** Time has passed. Required at least every `ANNOUNCE_INTERVAL_MS`. */
  | { readonly type: 'tick' };

/** An output of membership: an action for its caller, or a change to report. */
export type MembershipEffect =
  /** Ping this worker directly, and report `probeAnswered` or `probeFailed` within `PROBE_TIMEOUT_MS`. */
  | ({ readonly type: 'probe'; readonly id: string; readonly address: PeerAddress } & ProcessRank)
  /** A worker is a member now: a new process, or one that has refuted its death. */
  | { readonly type: 'joined'; readonly id: string; readonly incarnation: string }
  | { readonly type: 'suspect'; readonly id: string; readonly incarnation: string; readonly cause: 'link' | 'silence' }
  /** A suspect is no longer suspect: it was heard, it answered a probe, or its silence is explained by the loss of the bus. */
  | { readonly type: 'cleared'; readonly id: string; readonly incarnation: string }
  /**
   * An incarnation is declared dead. `fenced`: a later process of the same ID replaced it; a worker that sees its own incarnation fenced must
   * exit. After any other cause the same incarnation joins again if it refutes its death.
   */
  | {
      readonly type: 'dead';
      readonly id: string;
      readonly incarnation: string;
      readonly cause: 'link' | 'silence' | 'fenced' | 'quarantined';
    }
  | { readonly type: 'left'; readonly id: string; readonly incarnation: string }
  /** This worker's rank has risen; it must announce itself under the new one. */
  | ({ readonly type: 'raised'; readonly id: string } & Rank)
  /** Whether this process hears itself over the bus. While it does not, it suspects itself, and treats no member's silence as evidence. */
  | { readonly type: 'hearing'; readonly hears: boolean }
  /** An announcement was not accepted. */
  | {
      readonly type: 'refused';
      readonly id: string;
      readonly incarnation: string;
      readonly reason: Refusal;
      readonly message: string;
      /** The latest rank of this ID that is known; null if the refusal has another reason. */
      readonly latest: Rank | null;
      /** False if the last refusal of this ID had the same incarnation and reason. */
      readonly first: boolean;
    }
  /** The view changed in more than load. Emitted at most once per step, as the last effect. */
  | { readonly type: 'changed'; readonly view: MembershipView };

/** Why an announcement is refused. `stale`: the worker is dead or has left, or a later process has its ID; a higher rank is accepted. */
export type Refusal = 'fingerprint' | 'stale' | 'full' | 'quarantined';

export interface MembershipView {
  /** Hash of `ring`: changes exactly when `ring` does. */
  readonly epoch: string;
  /** The workers with a place on the ring: the ones that announced `serving`, including suspects. */
  readonly ring: readonly RingMember[];
  /** All members in order of ID, including the dead until they are forgotten. */
  readonly members: readonly Member[];
}
