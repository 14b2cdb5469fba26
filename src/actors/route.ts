import type { Bus } from '../bus/bus.js';
import { encode } from '../wire/msgpack.js';
import type { AnswerMessage, NodeAddress, NodeMessage } from './envelope.js';
import { packForBus, packLinked } from './linked-message.js';
import type { CallLink } from './links.js';
import { absenceSubject, inboxSubject } from './subjects.js';

/** The routes of messages: within a node, over a direct link, or over the bus. */

/** Within a node, over a direct link, or over the bus. */
export type RouteKind = 'local' | 'direct' | 'nats';

/** An item of a stream in the form in which it travels, and its size: 0 within a node, where it is not encoded. */
export interface Parcel {
  readonly content: unknown;
  readonly bytes: number;
}

/** A route to one node, on which messages keep their order. A call stays on its route until the route closes. */
export interface Route {
  readonly kind: RouteKind;
  /** Messages to one node on routes of the same name keep their order. */
  readonly name: string;
  /** Whether messages can be sent now. A direct route that closed stays closed; the bus may come back. */
  readonly open: boolean;
  /** Whether messages may come late, because many are on their way. */
  readonly crowded: boolean;
  /**
   * Sends a message to the node.
   * @throws what `Bus.publish` throws; InternalError if a value cannot be encoded
   */
  toNode(message: NodeMessage): void;
  /** Sends an answer to a call of the node. Throws the errors of `toNode`. */
  toCall(id: number, message: AnswerMessage): void;
  pack(item: unknown): Parcel;
}

/** The handlers that a local route delivers to. */
export interface LocalInbox {
  nodeMessage(message: NodeMessage, route: Route): void;
  answer(id: number, message: AnswerMessage, from: NodeAddress | null): void;
}

/**
 * The route within a node. It does not encode: byte arrays, which the protocol's schemas do not copy, are shared by both sides and must not
 * be changed after sending.
 */
export class LocalRoute implements Route {
  readonly kind = 'local';
  readonly name = 'local';
  readonly open = true;
  readonly crowded = false;

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

/** The route over a direct link. */
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

  get crowded(): boolean {
    return this.link.crowded;
  }

  toNode(message: NodeMessage): void {
    this.link.send(packLinked({ to: 'node', message }));
  }

  toCall(id: number, message: AnswerMessage): void {
    this.link.send(packLinked({ to: 'call', id, message }));
  }
}

/** The route over the bus. */
export class BusRoute extends PackedRoute implements Route {
  readonly kind = 'nats';
  readonly name = 'nats';
  readonly crowded = false;
  private readonly subject: string;
  /** The subject on which the bus reports that the node does not listen. */
  private readonly absence: string;

  constructor(
    private readonly bus: Bus,
    namespace: string,
    private readonly self: NodeAddress,
    to: NodeAddress,
  ) {
    super();
    this.subject = inboxSubject(namespace, to);
    this.absence = absenceSubject(namespace, self, to);
  }

  get open(): boolean {
    return this.bus.connected;
  }

  toNode(message: NodeMessage): void {
    const expectsAnswer = message.type === 'probe' || (message.type === 'call' && message.kind !== 'tell');
    const reply = expectsAnswer ? this.absence : undefined;
    this.bus.publish(this.subject, packForBus({ to: 'node', message }, this.self), reply);
  }

  toCall(id: number, message: AnswerMessage): void {
    this.bus.publish(this.subject, packForBus({ to: 'call', id, message }, this.self));
  }
}
