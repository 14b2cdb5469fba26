import type { NodeView } from './node-view.js';

/** The members of the runtime, derived from announcements, closed links and silence. No clock inside: each method takes the time. */

/** Silence after which a node is gone. */
export const NODE_SILENCE_MS = 3_000;
/** Silence after which a node is gone at whose addresses nobody listens. @internal exported for tests. */
export const NODE_UNREACHABLE_MS = 1_200;
/**
 * Silence after which a driver is gone whose link closed. Its actors end with it, for good, so it gets more time than a node: it runs the user's own
 * code, which may keep its event loop busy, and nobody can dial it to find out. @internal exported for tests.
 */
export const DRIVER_UNLINKED_MS = 5_000;
/** Silence after which any other driver is gone. @internal exported for tests. */
export const DRIVER_SILENCE_MS = 30_000;
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
  /** What speaks against it since it was heard last. */
  doubt: 'none' | 'suspected' | 'unreachable';
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
      known.doubt = 'none';
      return [];
    }
    if (this.entries.size >= RUNTIME_MEMBERS) return [];
    this.entries.set(node.incarnation, { node, heardMs: nowMs, doubt: 'none' });
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
    return (this.entries.get(incarnation)?.doubt ?? 'none') !== 'none';
  }

  /** Messages may have been lost until now, and other members may need until `judgeFromMs` to announce themselves. */
  deafUntil(judgeFromMs: number): void {
    this.judgeFromMs = Math.max(this.judgeFromMs, judgeFromMs);
  }

  /** To be called regularly while this process hears the bus. */
  tick(nowMs: number): NodeListEffect[] {
    if (nowMs < this.judgeFromMs) return [];
    const silent = [...this.entries].filter(
      ([, entry]) => nowMs - Math.max(entry.heardMs, this.judgeFromMs) > patienceMs(entry),
    );
    return silent.flatMap(([incarnation]) => this.remove(incarnation, 'gone'));
  }

  private remove(incarnation: string, type: 'left' | 'gone'): NodeListEffect[] {
    const entry = this.entries.get(incarnation);
    if (!entry) return [];
    this.entries.delete(incarnation);
    return [{ type, node: entry.node }];
  }
}

/** The silence after which a member is gone. */
function patienceMs({ node, doubt }: Entry): number {
  if (node.kind === 'driver') return doubt === 'none' ? DRIVER_SILENCE_MS : DRIVER_UNLINKED_MS;
  return doubt === 'unreachable' ? NODE_UNREACHABLE_MS : NODE_SILENCE_MS;
}
