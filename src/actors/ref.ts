import type { z } from 'zod';
import { InternalError } from '../errors.js';
import { accepts } from '../wire/accepts.js';
import { type ActorAddress, sameNode } from './envelope.js';
import type { Outgoing } from './outgoing.js';
import type { CallOptions } from './outgoing-call.js';
import type { AskNames, ItemOf, Protocol, RequestOf, ResponseOf, StreamNames, TellNames } from './protocol.js';
import { StreamReader } from './stream-reader.js';

/**
 * A typed reference to an actor of any node. It is a name, not a connection: it can be kept, and calls to an absent actor fail with
 * Unavailable.
 *
 * The receiver checks requests, answers and items, which also copies their objects and arrays. Within a node, byte arrays are shared and
 * not copied: the sender must not write to one afterwards.
 */
export class ActorRef<P extends Protocol> {
  constructor(
    readonly protocol: P,
    readonly address: ActorAddress,
    private readonly outgoing: Outgoing,
  ) {}

  /**
   * Sends a request and waits for the answer.
   * @throws the actor's own error, Unavailable (actor absent, or a message lost: try another actor), Overloaded (mailbox full, or too many
   * calls), DeadlineExceeded, Cancelled, InvalidRequest (the request does not fit the protocol)
   */
  ask<K extends AskNames<P>>(
    method: K,
    request: RequestOf<P, K>,
    options: CallOptions = {},
  ): Promise<ResponseOf<P, K>> {
    const definition = this.protocol.methods[method];
    if (definition?.kind !== 'ask') return Promise.reject(this.misuse(method, 'ask'));
    return new Promise((resolve, reject) => {
      const callRequest = { protocol: this.protocol.name, method, kind: 'ask', request } as const;
      this.outgoing.call(this.address, callRequest, options, {
        answer: (value) => {
          try {
            resolve(this.check<ResponseOf<P, K>>(definition.response, value, method));
          } catch (error) {
            reject(error);
          }
        },
        items: () => undefined,
        end: () => undefined,
        fail: reject,
      });
    });
  }

  /** Sends a message without an answer. The message may be lost. */
  tell<K extends TellNames<P>>(method: K, request: RequestOf<P, K>): void {
    if (this.protocol.methods[method]?.kind !== 'tell') throw this.misuse(method, 'tell');
    this.outgoing.tell(this.address, { protocol: this.protocol.name, method, request });
  }

  /**
   * Sends a request and yields the items of the answer. Each iteration makes its own call when it begins; leaving the loop cancels the
   * call. Throws the errors of `ask`, after yielding the items that arrived before.
   */
  stream<K extends StreamNames<P>>(
    method: K,
    request: RequestOf<P, K>,
    options: CallOptions = {},
  ): AsyncIterable<ItemOf<P, K>> {
    const definition = this.protocol.methods[method];
    if (definition?.kind !== 'stream') throw this.misuse(method, 'stream');
    const callRequest = { protocol: this.protocol.name, method, kind: 'stream', request } as const;
    const check = (item: unknown) => this.check<ItemOf<P, K>>(definition.item, item, method);
    return {
      [Symbol.asyncIterator]: () =>
        new StreamReader(check).begin((receiver) => this.outgoing.call(this.address, callRequest, options, receiver)),
    };
  }

  private check<T>(schema: z.ZodType, value: unknown, method: string): T {
    // A value from this node is the actor's own object, which the schema copies.
    if (!sameNode(this.address, this.outgoing.self) && accepts(schema, value)) return value as T;
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data as T;
    const path = parsed.error.issues[0]?.path.join('.') ?? '';
    const cause = parsed.error.issues[0]?.message ?? 'unknown';
    const label = `${this.protocol.name}.${method} of ${this.address.actor} on ${this.address.node}`;
    throw new InternalError(`the answer of ${label} violates its protocol${path && ` at ${path}`}: ${cause}`);
  }

  private misuse(method: string, kind: string): InternalError {
    return new InternalError(`cannot ${kind} ${this.protocol.name}.${method}: its protocol has no such method`);
  }
}
