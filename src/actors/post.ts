import type { Bus, BusMessage, Subscription } from '../bus/bus.js';
import { subjectToken } from '../bus/subject.js';
import { decode, encode } from '../wire/msgpack.js';
import { AnswerMessage, LookupMessage, type NodeAddress, NodeMessage, sameNode } from './envelope.js';
import type { ObserveActors } from './event.js';

/** Who takes what arrives. */
export interface Inbox {
  nodeMessage(message: NodeMessage): void;
  answer(id: number, message: AnswerMessage): void;
  lookup(message: LookupMessage): void;
  /** Nobody has the address of a call's message. */
  nobodyForCall(id: number): void;
  /** Nobody has the address of a probe. `is` tells whether a node is the one probed. */
  nobodyForProbe(is: (address: NodeAddress) => boolean): void;
}

/** An item of a stream as it travels, and its bytes; 0 within a node. */
export interface Parcel {
  readonly content: unknown;
  readonly bytes: number;
}

/**
 * Carries messages between nodes, checked on arrival. Subjects name node and incarnation, so that nothing reaches a later life of a
 * node. Within a node messages skip the bus and its encoding: what the protocol's checkers pass on as it is (byte arrays) is
 * then the very same object on both sides, and must not be changed once it is sent.
 */
export class Post {
  private readonly subscriptions: Subscription[] = [];
  private readonly base: string;

  constructor(
    private readonly bus: Bus,
    private readonly namespace: string,
    readonly self: NodeAddress,
    private readonly inbox: Inbox,
    private readonly observe: ObserveActors,
  ) {
    this.base = this.nodeSubject(self);
  }

  /** Begins to take what arrives for this node. Called once. */
  open(): void {
    this.subscriptions.push(
      this.bus.subscribe(`${this.base}.in`, (message) => this.onNodeMessage(message)),
      this.bus.subscribe(`${this.base}.call.*`, (message) => this.onAnswer(message)),
      this.bus.subscribe(`${this.base}.probe.*.*`, (message) => this.onProbeReply(message)),
    );
  }

  isLocal(address: NodeAddress): boolean {
    return sameNode(address, this.self);
  }

  /** Throws what `Bus.publish` throws, and InternalError for what cannot be encoded. */
  toNode(to: NodeAddress, message: NodeMessage): void {
    if (this.isLocal(to)) queueMicrotask(() => this.inbox.nodeMessage(message));
    else this.bus.publish(`${this.nodeSubject(to)}.in`, encode(message), this.replySubject(to, message));
  }

  /** Throws as `toNode` does. */
  toCall(to: NodeAddress, id: number, message: AnswerMessage): void {
    if (this.isLocal(to)) queueMicrotask(() => this.inbox.answer(id, message));
    else this.bus.publish(`${this.nodeSubject(to)}.call.${id}`, encode(message));
  }

  pack(to: NodeAddress, item: unknown): Parcel {
    if (this.isLocal(to)) return { content: item, bytes: 0 };
    const content = encode(item);
    return { content, bytes: content.byteLength };
  }

  /** Makes this node answer look-ups of the name. */
  listen(actor: string): Subscription {
    return this.bus.subscribe(this.lookupSubject(actor), (message) => {
      const lookup = this.read(message, (value) => LookupMessage.parse(value));
      if (lookup) this.inbox.lookup(lookup);
    });
  }

  lookup(message: LookupMessage): void {
    this.bus.publish(this.lookupSubject(message.actor), encode(message), `${this.base}.call.${message.id}`);
  }

  close(): void {
    for (const subscription of this.subscriptions) subscription.unsubscribe();
  }

  private nodeSubject(address: NodeAddress): string {
    return `${this.namespace}.node.${subjectToken(address.node)}.${subjectToken(address.incarnation)}`;
  }

  private lookupSubject(actor: string): string {
    return `${this.namespace}.lookup.${subjectToken(actor)}`;
  }

  private replySubject(to: NodeAddress, message: NodeMessage): string | undefined {
    if (message.type === 'call' && message.kind !== 'tell') return `${this.base}.call.${message.id}`;
    if (message.type !== 'probe') return undefined;
    return `${this.base}.probe.${subjectToken(to.node)}.${subjectToken(to.incarnation)}`;
  }

  private onNodeMessage(message: BusMessage): void {
    const parsed = this.read(message, (value) => NodeMessage.parse(value));
    if (parsed) this.inbox.nodeMessage(parsed);
  }

  private onAnswer(message: BusMessage): void {
    const id = Number(message.subject.slice(message.subject.lastIndexOf('.') + 1));
    const parsed = message.nobody ? null : this.read(message, readAnswer);
    if (parsed) this.inbox.answer(id, parsed);
    else if (message.nobody) this.inbox.nobodyForCall(id);
  }

  private onProbeReply(message: BusMessage): void {
    if (!message.nobody) return;
    const probed = message.subject.slice(`${this.base}.probe.`.length);
    this.inbox.nobodyForProbe(
      (address) => probed === `${subjectToken(address.node)}.${subjectToken(address.incarnation)}`,
    );
  }

  private read<T>(message: BusMessage, parse: (value: unknown) => T): T | null {
    try {
      return parse(decode(message.payload));
    } catch {
      this.observe({ type: 'dropped', reason: 'malformed', what: message.subject });
      return null;
    }
  }
}

function readAnswer(value: unknown): AnswerMessage {
  const message = AnswerMessage.parse(value);
  if (message.type !== 'items') return message;
  return { ...message, items: message.items.map(unpack) };
}

function unpack(content: unknown): unknown {
  if (!(content instanceof Uint8Array)) throw new TypeError('an item of a stream is not packed');
  return decode(content);
}
