import { InvalidRequest, Unavailable } from '../errors.js';
import { BUS_MESSAGE_BYTES } from '../limits.js';
import type { NodeAddress } from './envelope.js';
import { nodeKey } from './envelope.js';
import type { CallLink, CallLinks, LinkListener } from './links.js';

/** Links between nodes of one process, opened and closed by a test or a simulator. */
export class MemoryLinkHub {
  private readonly nodes = new Map<string, MemoryLinks>();
  /** Number of times that a message is delivered; null for once each. Zero simulates a message lost when its link closes. */
  fault: ((from: NodeAddress, message: Uint8Array) => number) | null = null;
  /** Whether all links say that they are crowded. */
  crowded = false;

  /** The links of one node. */
  node(self: NodeAddress): MemoryLinks {
    const links = new MemoryLinks();
    this.nodes.set(nodeKey(self), links);
    return links;
  }

  /** Opens a link between two nodes of this hub. */
  connect(a: NodeAddress, b: NodeAddress): void {
    const [ofA, ofB] = [this.linksOf(a), this.linksOf(b)];
    const toB = new MemoryLink(b, this, (message) => this.pass(a, ofB, toA, message));
    const toA: MemoryLink = new MemoryLink(a, this, (message) => this.pass(b, ofA, toB, message));
    ofA.add(toB);
    ofB.add(toA);
  }

  /** Closes the link at both ends. Messages in flight still arrive. */
  cut(a: NodeAddress, b: NodeAddress): void {
    this.linksOf(a).remove(b);
    this.linksOf(b).remove(a);
  }

  private linksOf(node: NodeAddress): MemoryLinks {
    const links = this.nodes.get(nodeKey(node));
    if (!links) throw new Unavailable(`cannot link node ${node.node}: the hub has no such node`);
    return links;
  }

  private pass(from: NodeAddress, to: MemoryLinks, link: MemoryLink, message: Uint8Array): void {
    const times = this.fault?.(from, message) ?? 1;
    for (let i = 0; i < times; i++) queueMicrotask(() => to.listener?.received(link, message));
  }
}

class MemoryLink implements CallLink {
  open = true;

  constructor(
    readonly peer: NodeAddress,
    private readonly hub: Pick<MemoryLinkHub, 'crowded'>,
    private readonly pass: (message: Uint8Array) => void,
  ) {}

  get crowded(): boolean {
    return this.hub.crowded;
  }

  send(message: Uint8Array): void {
    if (!this.open) throw new Unavailable(`cannot send to ${this.peer.node}: the link is closed`);
    if (message.byteLength > BUS_MESSAGE_BYTES) {
      throw new InvalidRequest(`cannot send ${message.byteLength} bytes: a message has at most ${BUS_MESSAGE_BYTES}`);
    }
    this.pass(message);
  }
}

/** The links of one node of a MemoryLinkHub. */
export class MemoryLinks implements CallLinks {
  private readonly links = new Map<string, MemoryLink>();
  listener: LinkListener | null = null;

  to(node: NodeAddress): CallLink | null {
    return this.links.get(nodeKey(node)) ?? null;
  }

  all(): Iterable<CallLink> {
    return this.links.values();
  }

  listen(listener: LinkListener): void {
    this.listener = listener;
  }

  /** For MemoryLinkHub. */
  add(link: MemoryLink): void {
    this.links.set(nodeKey(link.peer), link);
    this.listener?.opened(link);
  }

  /** For MemoryLinkHub. */
  remove(peer: NodeAddress): void {
    const link = this.links.get(nodeKey(peer));
    if (!link) return;
    this.links.delete(nodeKey(peer));
    link.open = false;
    this.listener?.closed(link);
  }
}
