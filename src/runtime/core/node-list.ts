import type { KnockAnswer } from '../../core/knock-answer.js';
import { isSameAddress } from '../../core/member.js';
import { ANNOUNCE_INTERVAL_MS } from '../../limits.js';
import type { NodeView } from './node-view.js';

/** The members of the runtime, derived from announcements, links and silence. No clock inside: each method takes the time. */

/** Silence after which a node is gone. */
export const NODE_SILENCE_MS = 3_000;
/** Silence after which others look whether the process of a node is still there: longer than that between two announcements. */
const LOOK_AFTER_MS = 1.4 * ANNOUNCE_INTERVAL_MS;
/** Silence after which a node is gone whose process is there: the code of its users may keep its event loop busy. */
export const NODE_BUSY_MS = 30_000;
/** How long a node that was busy has, once it takes a link, to be heard again. @internal exported for tests. */
export const WAKING_MS = 2 * ANNOUNCE_INTERVAL_MS;
/** Silence after which a node is gone at whose addresses nobody listens. @internal exported for tests. */
export const NODE_UNREACHABLE_MS = 1_200;
/**
 * Silence after which a driver is gone whose link closed. Its actors end with it, for good, so it gets more time than a node: it runs the user's own
 * code, which may keep its event loop busy, and nobody can dial it to find out. @internal exported for tests.
 */
export const DRIVER_UNLINKED_MS = 5_000;
/** Silence after which any other driver is gone. @internal exported for tests. */
export const DRIVER_SILENCE_MS = 30_000;
/**
 * Time between two echoes after which this process missed messages. It holds two announcements, each of which is an echo, and their delays.
 * @internal exported for tests.
 */
export const DEAF_AFTER_MS = 2.5 * ANNOUNCE_INTERVAL_MS;
/**
 * After an outage of the bus, for so long no member counts as silent: each may be dialling a server that did not answer, which takes up to 5 s, and then pauses
 * for up to 2 s. What a member hosts for others ends with it, so that patience costs less than a wrong verdict.
 */
export const OUTAGE_GRACE_MS = 5_000;
/** Limit on the members; announcements of others are ignored. */
const RUNTIME_MEMBERS = 2_048;

/** What this process knows of members beside their announcements. */
export interface NodeEvidence {
  /** When something last came over an open link to a member; null without one. */
  linkHeardMs(node: NodeView): number | null;
  /** What a look at the process of a silent node has shown. */
  presenceOf(node: NodeView): KnockAnswer;
}

const NO_EVIDENCE: NodeEvidence = { linkHeardMs: () => null, presenceOf: () => 'unknown' };

export type NodeListEffect =
  | { readonly type: 'joined'; readonly node: NodeView }
  /** It may have ended, or only its link or its process shows that it lives. It is still a member. */
  | { readonly type: 'suspected'; readonly node: NodeView }
  /** It left by its own word, or it is gone: silent for too long. It may join again. */
  | { readonly type: 'left' | 'gone'; readonly node: NodeView };

interface Entry {
  node: NodeView;
  /** When it was last heard on the bus. */
  heardMs: number;
  /** What shows that it lives: its messages on the bus, or, if these are missing for too long, its open link, or only that its process is there. */
  shownBy: 'bus' | 'link' | 'process';
  /** Since when its link shows that it lives, after only its process did; null if it does not. */
  awakeMs: number | null;
  /** What speaks against it since it was heard last. */
  doubt: 'none' | 'suspected' | 'unreachable';
}

/** The members of the runtime as one process knows them, by incarnation. */
export class NodeList {
  private readonly entries = new Map<string, Entry>();
  /** Until then, silence is not evidence: this process, or all others, may have missed messages. */
  private judgeFromMs = Number.NEGATIVE_INFINITY;
  /** When this process last heard itself on the bus; null if it never did. */
  private echoedMs: number | null = null;

  /** All members, in the order in which they joined. */
  nodes(): NodeView[] {
    return [...this.entries.values()].map(({ node }) => node);
  }

  get(incarnation: string): NodeView | null {
    return this.entries.get(incarnation)?.node ?? null;
  }

  /** When a member was last heard on the bus; null if it is none. */
  heardMs(incarnation: string): number | null {
    return this.entries.get(incarnation)?.heardMs ?? null;
  }

  heard(node: NodeView, nowMs: number): NodeListEffect[] {
    const known = this.entries.get(node.incarnation);
    if (known) {
      known.node = node;
      known.heardMs = nowMs;
      known.shownBy = 'bus';
      known.awakeMs = null;
      known.doubt = 'none';
      return [];
    }
    if (this.entries.size >= RUNTIME_MEMBERS) return [];
    this.entries.set(node.incarnation, { node, heardMs: nowMs, shownBy: 'bus', awakeMs: null, doubt: 'none' });
    return [{ type: 'joined', node }];
  }

  left(incarnation: string): NodeListEffect[] {
    return this.remove(incarnation, 'left');
  }

  /** A direct link to the member closed, or a call to it was lost: it may have ended. */
  suspect(incarnation: string): NodeListEffect[] {
    const entry = this.entries.get(incarnation);
    if (entry?.doubt !== 'none') return [];
    entry.doubt = 'suspected';
    return [{ type: 'suspected', node: entry.node }];
  }

  /** Nobody listens at the addresses of a member. It may have ended if it is also suspected. */
  unreachable(incarnation: string): void {
    const entry = this.entries.get(incarnation);
    if (entry?.doubt === 'suspected') entry.doubt = 'unreachable';
  }

  /** A direct link to the member opened, so it is alive. */
  trust(incarnation: string): void {
    const entry = this.entries.get(incarnation);
    if (entry) entry.doubt = 'none';
  }

  /** Whether the member may have ended, and was not heard since. */
  suspects(incarnation: string): boolean {
    const entry = this.entries.get(incarnation);
    return entry !== undefined && (entry.doubt !== 'none' || entry.shownBy !== 'bus');
  }

  /** Whether the bus carries a member's messages: not for one that is gone, nor for one of which only the link shows that it lives. */
  hears(incarnation: string): boolean {
    return this.entries.get(incarnation)?.shownBy === 'bus';
  }

  /** Whether nothing but its process shows that a member lives: its code may keep its event loop busy, and then it will be heard again. */
  isBusy(incarnation: string): boolean {
    return this.entries.get(incarnation)?.shownBy === 'process';
  }

  /**
   * The bus carried a message of this process back to it. From the first time on, the silence of others counts up to the last echo only: a bus that is silent
   * carries no echo either, long before it counts as lost. After a pause, others need time to be heard again.
   */
  echoed(nowMs: number): void {
    if (this.echoedMs !== null && nowMs - this.echoedMs > DEAF_AFTER_MS) this.deafUntil(nowMs + OUTAGE_GRACE_MS);
    this.echoedMs = nowMs;
  }

  /** This process stood still until now, and has not read yet what came meanwhile. */
  stoodStill(timeMs: number, nowMs: number): void {
    this.deafUntil(nowMs);
    if (this.echoedMs !== null) this.echoedMs = Math.min(nowMs, this.echoedMs + timeMs);
  }

  /** Messages may have been lost until now, and other members may need until `judgeFromMs` to announce themselves. */
  deafUntil(judgeFromMs: number): void {
    this.judgeFromMs = Math.max(this.judgeFromMs, judgeFromMs);
  }

  /** To be called regularly while this process is connected to the bus. */
  tick(nowMs: number, { linkHeardMs, presenceOf }: NodeEvidence = NO_EVIDENCE): NodeListEffect[] {
    if (nowMs < this.judgeFromMs) return [];
    const untilMs = this.echoedMs ?? nowMs;
    const silenceMs = ({ heardMs }: Entry) => untilMs - Math.max(heardMs, this.judgeFromMs);
    return [...this.entries.values()].flatMap((entry) => {
      const { node } = entry;
      const looks = node.kind === 'node' && entry.doubt !== 'unreachable' && silenceMs(entry) > LOOK_AFTER_MS;
      const presence = looks ? presenceOf(node) : 'unknown';
      const isNews = presence === 'ended' && !this.suspects(node.incarnation);
      if (presence === 'ended') entry.doubt = 'unreachable';
      if (silenceMs(entry) <= patienceMs(entry)) return isNews ? [{ type: 'suspected', node }] : [];
      const livesByLink = nowMs - (linkHeardMs(node) ?? Number.NEGATIVE_INFINITY) <= NODE_SILENCE_MS;
      // A link that closed, or another member at its address, speaks against a process that is there.
      const isThere = presence === 'there' && entry.doubt === 'none' && !this.hasSuccessor(node);
      const isBusy = isThere && silenceMs(entry) <= NODE_BUSY_MS;
      if (!livesByLink && !isBusy) return this.remove(node.incarnation, 'gone');
      const wasHeard = entry.shownBy === 'bus';
      showByOther(entry, livesByLink ? 'link' : 'process', nowMs);
      return wasHeard ? [{ type: 'suspected', node }] : [];
    });
  }

  /** Whether another member has the address of this one, as a process that was started again does. */
  private hasSuccessor({ incarnation, address }: NodeView): boolean {
    if (address === null) return false;
    return [...this.entries.values()].some(
      ({ node }) => node.incarnation !== incarnation && node.address !== null && isSameAddress(node.address, address),
    );
  }

  private remove(incarnation: string, type: 'left' | 'gone'): NodeListEffect[] {
    const entry = this.entries.get(incarnation);
    if (!entry) return [];
    this.entries.delete(incarnation);
    return [{ type, node: entry.node }];
  }
}

/** A process that begins to run again takes links first, and is given time to be heard before its link counts as all that it has. */
function showByOther(entry: Entry, by: 'link' | 'process', nowMs: number): void {
  entry.awakeMs = by === 'process' ? null : (entry.awakeMs ?? nowMs);
  const isWaking = entry.shownBy === 'process' && nowMs - (entry.awakeMs ?? nowMs) < WAKING_MS;
  if (!isWaking) entry.shownBy = by;
}

/** The silence after which a member is gone. */
function patienceMs({ node, doubt }: Entry): number {
  if (node.kind === 'driver') return doubt === 'none' ? DRIVER_SILENCE_MS : DRIVER_UNLINKED_MS;
  return doubt === 'unreachable' ? NODE_UNREACHABLE_MS : NODE_SILENCE_MS;
}
