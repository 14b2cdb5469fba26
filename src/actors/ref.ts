import type { z } from 'zod';
import { InternalError } from '../errors.js';
import type { ActorAddress } from './envelope.js';
import type { Outgoing } from './outgoing.js';
import type { CallOptions } from './outgoing-call.js';
import type { AskNames, ItemOf, Protocol, RequestOf, ResponseOf, StreamNames, TellNames } from './protocol.js';
import { StreamReader } from './stream-reader.js';

/**
 * A typed reference to an actor, here or elsewhere. It is a name, not a connection: it can be kept, and calls to an actor that is not there
 * fail with Unavailable.
 *
 * Requests, answers and items are checked where they arrive, which also copies their objects and arrays. Byte arrays are passed on as
 * they are within a node: whoever sends one must not write to it afterwards.
 */
export class ActorRef<P extends Protocol> {
  constructor(
    readonly protocol: P,
    readonly address: ActorAddress,
    private readonly outgoing: Outgoing,
  ) {}

  /**
   * Sends a request and waits for the answer. Rejects with the actor's own error, or Unavailable (nobody there, lost on the way: try another),
   * Overloaded (mailbox full), DeadlineExceeded, Cancelled, InvalidRequest (the actor's protocol does not allow the request).
   */
  ask<K extends AskNames<P>>(
    method: K,
    request: RequestOf<P, K>,
    options: CallOptions = {},
  ): Promise<ResponseOf<P, K>> {
    const definition = this.protocol.methods[method];
    if (definition?.kind !== 'ask') return Promise.reject(this.misuse(method, 'ask'));
    return new Promise((resolve, reject) => {
      const asked = { protocol: this.protocol.name, method, kind: 'ask', request } as const;
      this.outgoing.call(this.address, asked, options, {
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

  /** Sends a message that is not answered, and may be lost. */
  tell<K extends TellNames<P>>(method: K, request: RequestOf<P, K>): void {
    if (this.protocol.methods[method]?.kind !== 'tell') throw this.misuse(method, 'tell');
    this.outgoing.tell(this.address, { protocol: this.protocol.name, method, request });
  }

  /**
   * Sends a request and gives the items of the answer. The call is made when iteration begins; each iteration makes one. Leaving the
   * loop cancels it. Throws as `ask` does, after the items that arrived before.
   */
  stream<K extends StreamNames<P>>(
    method: K,
    request: RequestOf<P, K>,
    options: CallOptions = {},
  ): AsyncIterable<ItemOf<P, K>> {
    const definition = this.protocol.methods[method];
    if (definition?.kind !== 'stream') throw this.misuse(method, 'stream');
    const asked = { protocol: this.protocol.name, method, kind: 'stream', request } as const;
    const check = (item: unknown) => this.check<ItemOf<P, K>>(definition.item, item, method);
    return {
      [Symbol.asyncIterator]: () =>
        new StreamReader(check).begin((receiver) => this.outgoing.call(this.address, asked, options, receiver)),
    };
  }

  private check<T>(schema: z.ZodType, value: unknown, method: string): T {
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data as T;
    const where = parsed.error.issues[0]?.path.join('.') ?? '';
    const why = parsed.error.issues[0]?.message ?? 'unknown';
    const what = `${this.protocol.name}.${method} of ${this.address.actor} on ${this.address.node}`;
    throw new InternalError(`${what} answered what its protocol does not allow${where && ` at ${where}`}: ${why}`);
  }

  private misuse(method: string, kind: string): InternalError {
    return new InternalError(
      `${this.protocol.name}.${method} cannot be used with ${kind}: its protocol says otherwise`,
    );
  }
}
