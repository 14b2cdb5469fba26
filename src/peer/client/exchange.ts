import { Deferred } from '../../async/deferred.js';
import type { Semaphore } from '../../async/semaphore.js';
import type { BlockDigest } from '../../core/block.js';
import { Corrupt, fromWire, type ShoalError } from '../../errors.js';
import type { Payload } from '../wire/connection.js';
import type { ClientMessage, ServerMessage } from '../wire/messages.js';

/** The dialling side of one request on a link, from its first frame to the last frame of the answer. */
export interface Exchange<T> {
  readonly result: Promise<T>;
  /** Sends the first message. Called once, before all other methods. */
  start(line: Line): void;
  /** A frame of the answer begins. Gives the memory for its payload, or null to discard it. What it throws ends the link. */
  begin(message: ServerMessage): Uint8Array | null;
  /** Called after each part of a payload. False lets go of the payload's memory: nothing is written there any more. */
  wants(): boolean;
  /** The whole frame has come; `digest` is that of its payload, null if there was none or it was discarded. What it throws ends the link. */
  end(message: ServerMessage, digest: BlockDigest | null): void;
  /**
   * The caller does not need the result any more: cancels the request, and settles without waiting for the peer. Memory that is being read or
   * written is let go when that has ended. The exchange stays on the link until the peer has ended the request.
   */
  giveUp(reason: ShoalError): void;
  /** The link closed before the request ended. No memory of the exchange is read or written any more. */
  fail(reason: ShoalError): void;
}

/** The way of an exchange to its peer. */
export interface Line {
  send(message: ClientMessage, payload?: Payload): void;
  /** Each payload given to `send` needs a permit. */
  readonly payloads: Semaphore;
  /** The peer has broken a rule: closes the link. */
  close(reason: ShoalError): void;
}

const LAST: ReadonlySet<ServerMessage['type']> = new Set(['done', 'missing', 'unshared', 'pong', 'compared', 'error']);

/** Whether the message ends its request. */
export function endsExchange(message: ServerMessage): boolean {
  return LAST.has(message.type);
}

/** Asks the peer for a sign of life. */
export class PingExchange implements Exchange<void> {
  private readonly outcome = new Deferred<void>();

  get result(): Promise<void> {
    return this.outcome.promise;
  }

  start(line: Line): void {
    line.send({ type: 'ping' });
  }

  begin(): null {
    return null;
  }

  wants(): boolean {
    return false;
  }

  end(message: ServerMessage): void {
    if (message.type === 'pong') this.outcome.resolve();
    else if (message.type === 'error') this.outcome.reject(fromWire(message));
    else throw new Corrupt(`a peer answered 'ping' with '${message.type}'`);
  }

  giveUp(reason: ShoalError): void {
    this.outcome.reject(reason);
  }

  fail(reason: ShoalError): void {
    this.outcome.reject(reason);
  }
}
