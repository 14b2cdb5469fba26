import type { NodeView } from './node-view.js';

/** The members of the runtime, derived from announcements, closed links and silence. No clock inside: each method takes the time. */

/** Silence after which a member is gone. */
export const NODE_SILENCE_MS = 3_000;
/** Silence after which a member is gone that is suspected. @internal exported for tests. */
export const NODE_SUSPECTED_MS = 1_200;
/** Limit on the members; announcements of others are ignored. */
const RUNTIME_MEMBERS = 2_048;

export type NodeListEffect =
  | { readonly type: 'joined'; readonly node: NodeView }
  /** It may have ended. It is still a member. */
  | { readonly type: 'suspected'; readonly node: NodeView }
  /** It left by its own word, or it is gone: silent for too long. It may join again. */
  | { readonly type: 'left' | 'gone'; readonly node: NodeView };

interface Entry {
  node: NodeView;
  heardMs: number;
  suspected: boolean;
}

/** The members of the runtime as one process knows them, by incarnation. */
export class NodeList {
  private readonly entries = new Map<string, Entry>();
  /** Until then, silence is not evidence: this process, or all others, may have missed messages. */
  private judgeFromMs = Number.NEGATIVE_INFINITY;

  /** All members, in the order in which they joined. */
  nodes(): NodeView[] {
    return [...this.entries.values()].map(({ node }) => node);
  }

  get(incarnation: string): NodeView | null {
    return this.entries.get(incarnation)?.node ?? null;
  }

  /** When a member was last heard; null if it is none. */
  heardMs(incarnation: string): number | null {
    return this.entries.get(incarnation)?.heardMs ?? null;
  }

  heard(node: NodeView, nowMs: number): NodeListEffect[] {
    const known = this.entries.get(node.incarnation);
    if (known) {
      known.node = node;
      known.heardMs = nowMs;
      known.suspected = false;
      return [];
    }
    if (this.entries.size >= RUNTIME_MEMBERS) return [];
    this.entries.set(node.incarnation, { node, heardMs: nowMs, suspected: false });
    return [{ type: 'joined', node }];
  }

  left(incarnation: string): NodeListEffect[] {
    return this.remove(incarnation, 'left');
  }

  /** A direct link to the member closed, or a call to it was lost: it may have ended. */
  suspect(incarnation: string): NodeListEffect[] {
    const entry = this.entries.get(incarnation);
    if (!entry || entry.suspected) return [];
    entry.suspected = true;
    return [{ type: 'suspected', node: entry.node }];
  }

  /** A direct link to the member opened, so it is alive. */
  trust(incarnation: string): void {
    const entry = this.entries.get(incarnation);
    if (entry) entry.suspected = false;
  }

  /** Whether the member may have ended, and was not heard since. */
  suspects(incarnation: string): boolean {
    return this.entries.get(incarnation)?.suspected ?? false;
  }

  /** Messages may have been lost until now, and other members may need until `judgeFromMs` to announce themselves. */
  deafUntil(judgeFromMs: number): void {
    this.judgeFromMs = Math.max(this.judgeFromMs, judgeFromMs);
  }

  /** To be called regularly while this process hears the bus. */
  tick(nowMs: number): NodeListEffect[] {
    if (nowMs < this.judgeFromMs) return [];
    const silent = [...this.entries].filter(([, { heardMs, suspected }]) => {
      const sinceMs = Math.max(heardMs, this.judgeFromMs);
      return nowMs - sinceMs > (suspected ? NODE_SUSPECTED_MS : NODE_SILENCE_MS);
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
