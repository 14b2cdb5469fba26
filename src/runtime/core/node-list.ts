import type { NodeView } from './node-view.js';

/** Who belongs to the runtime, from announcements, closed links and silence. No clock inside: each method is told the time. */

/** Silence after which a member is gone. */
export const NODE_SILENCE_MS = 3_000;
/** Silence after which a member is gone whose link has closed. @internal exported for tests. */
export const NODE_CUT_OFF_MS = 1_200;
/** Limit on the members; announcements of others are ignored. */
const RUNTIME_MEMBERS = 2_048;

export type NodeListEffect =
  | { readonly type: 'joined'; readonly node: NodeView }
  /** A link to it has closed: it may have ended. It is still a member. */
  | { readonly type: 'suspected'; readonly node: NodeView }
  /** It left by its own word, or it is gone: silent for too long. It may join again. */
  | { readonly type: 'left' | 'gone'; readonly node: NodeView };

interface Entry {
  node: NodeView;
  heardMs: number;
  cutOff: boolean;
}

/** The members of the runtime as one process knows them, by incarnation. */
export class NodeList {
  private readonly entries = new Map<string, Entry>();
  /** Until then, silence is no evidence: this process, or all others, may have missed messages. */
  private judgeFromMs = Number.NEGATIVE_INFINITY;

  /** All members, in the order in which they joined. */
  nodes(): NodeView[] {
    return [...this.entries.values()].map(({ node }) => node);
  }

  get(incarnation: string): NodeView | null {
    return this.entries.get(incarnation)?.node ?? null;
  }

  heard(node: NodeView, nowMs: number): NodeListEffect[] {
    const known = this.entries.get(node.incarnation);
    if (known) {
      known.node = node;
      known.heardMs = nowMs;
      known.cutOff = false;
      return [];
    }
    if (this.entries.size >= RUNTIME_MEMBERS) return [];
    this.entries.set(node.incarnation, { node, heardMs: nowMs, cutOff: false });
    return [{ type: 'joined', node }];
  }

  left(incarnation: string): NodeListEffect[] {
    return this.remove(incarnation, 'left');
  }

  /** A direct link to the member closed: it may have ended. */
  linkClosed(incarnation: string): NodeListEffect[] {
    const entry = this.entries.get(incarnation);
    if (!entry || entry.cutOff) return [];
    entry.cutOff = true;
    return [{ type: 'suspected', node: entry.node }];
  }

  /** Whether a link to the member has closed, and it was not heard since. */
  suspects(incarnation: string): boolean {
    return this.entries.get(incarnation)?.cutOff ?? false;
  }

  /** Messages may have been lost until now, and other members may need until `judgeFromMs` to announce themselves. */
  deafUntil(judgeFromMs: number): void {
    this.judgeFromMs = judgeFromMs;
  }

  /** To be called regularly while this process hears the bus. */
  tick(nowMs: number): NodeListEffect[] {
    if (nowMs < this.judgeFromMs) return [];
    const silent = [...this.entries].filter(([, { heardMs, cutOff }]) => {
      const sinceMs = Math.max(heardMs, this.judgeFromMs);
      return nowMs - sinceMs > (cutOff ? NODE_CUT_OFF_MS : NODE_SILENCE_MS);
    });
    return silent.flatMap(([incarnation]) => this.remove(incarnation, 'gone'));
  }

  private remove(incarnation: string, type: 'left' | 'gone'): NodeListEffect[] {
    const entry = this.entries.get(incarnation);
    if (!entry) return [];
    this.entries.delete(incarnation);
    return [{ type, node: entry.node }];
  }
}
