import type { Bus } from '../bus/bus.js';
import { encode } from '../wire/msgpack.js';
import { type AnswerMessage, type NodeAddress, type NodeMessage, packLinked } from './envelope.js';
import type { CallLink } from './links.js';
import { callSubject, nodeSubject, probeSubject } from './subjects.js';

/** Within a node, over a direct link, or over the bus. */
export type RouteKind = 'local' | 'direct' | 'nats';

/** An item of a stream as it travels, and its bytes; 0 within a node. */
export interface Parcel {
  readonly content: unknown;
  readonly bytes: number;
}

/** A way to one other node, on which messages keep their order. A call stays on its route until that is lost. */
export interface Route {
  readonly kind: RouteKind;
  /** Equal for messages that keep their order with each other. */
  readonly name: string;
  /** Whether messages can be sent now. A direct route that closed stays closed; the bus may come back. */
  readonly open: boolean;
  /** Throws what `Bus.publish` throws, and InternalError for what cannot be encoded. */
  toNode(message: NodeMessage): void;
  /** Throws as `toNode` does. */
  toCall(id: number, message: AnswerMessage): void;
  pack(item: unknown): Parcel;
}

/** What takes messages within a node. */
export interface LocalInbox {
  nodeMessage(message: NodeMessage, route: Route): void;
  answer(id: number, message: AnswerMessage, from: NodeAddress | null): void;
}

/**
 * Skips encoding: what the protocol's checkers pass on as it is (byte arrays) is the very same object on both sides, and must not be changed
 * once it is sent.
 */
export class LocalRoute implements Route {
  readonly kind = 'local';
  readonly name = 'local';
  readonly open = true;

  constructor(private readonly inbox: LocalInbox) {}

  toNode(message: NodeMessage): void {
    queueMicrotask(() => this.inbox.nodeMessage(message, this));
  }

  toCall(id: number, message: AnswerMessage): void {
    queueMicrotask(() => this.inbox.answer(id, message, null));
  }

  pack(item: unknown): Parcel {
    return { content: item, bytes: 0 };
  }
}

abstract class PackedRoute {
  pack(item: unknown): Parcel {
    const content = encode(item);
    return { content, bytes: content.byteLength };
  }
}

/** Over a direct link. */
export class DirectRoute extends PackedRoute implements Route {
  readonly kind = 'direct';

  constructor(
    private readonly link: CallLink,
    readonly name: string,
  ) {
    super();
  }

  get open(): boolean {
    return this.link.open;
  }

  toNode(message: NodeMessage): void {
    this.link.send(packLinked({ to: 'node', message }));
  }

  toCall(id: number, message: AnswerMessage): void {
    this.link.send(packLinked({ to: 'call', id, message }));
  }
}

/** Over the bus. */
export class BusRoute extends PackedRoute implements Route {
  readonly kind = 'nats';
  readonly name = 'nats';

  constructor(
    private readonly bus: Bus,
    private readonly namespace: string,
    private readonly self: NodeAddress,
    private readonly to: NodeAddress,
  ) {
    super();
  }

  get open(): boolean {
    return this.bus.connected;
  }

  toNode(message: NodeMessage): void {
    this.bus.publish(`${nodeSubject(this.namespace, this.to)}.in`, encode(message), this.replySubject(message));
  }

  toCall(id: number, message: AnswerMessage): void {
    this.bus.publish(callSubject(this.namespace, this.to, id), encode(message));
  }

  /** Where the bus says that nobody listens there. */
  private replySubject(message: NodeMessage): string | undefined {
    if (message.type === 'call' && message.kind !== 'tell') return callSubject(this.namespace, this.self, message.id);
    return message.type === 'probe' ? probeSubject(this.namespace, this.self, this.to) : undefined;
  }
}
