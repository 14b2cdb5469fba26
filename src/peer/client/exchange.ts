import type { Semaphore } from '../../async/semaphore.js';
import type { BlockDigest } from '../../core/block.js';
import type { ShoalError } from '../../errors.js';
import type { Payload } from '../wire/connection.js';
import type { ClientMessage, ServerMessage } from '../wire/messages.js';

/** One request of ours on a link, from its first frame to the last of the answer. */
export interface Exchange<T> {
  readonly result: Promise<T>;
  /** Says the first message. Called once, before all others. */
  start(line: Line): void;
  /** A frame of the answer begins. Gives the memory for its payload, or null to read past it. What it throws ends the link. */
  begin(message: ServerMessage): Uint8Array | null;
  /** Asked after each part of a payload that came into its memory; where not, nothing is written there any more. */
  wants(): boolean;
  /** The frame is here whole, with the digest of its payload if that was kept. What it throws ends the link. */
  end(message: ServerMessage, digest: BlockDigest | null): void;
  /**
   * The result is not wanted any more: cancels the request, and settles without waiting for the peer. Memory that is read or written at that
   * moment is let go when that has ended. The exchange stays on the link until the peer has ended it.
   */
  giveUp(reason: ShoalError): void;
  /** The link is over before the answer was. No memory of the exchange is read or written any more. */
  fail(reason: ShoalError): void;
}

/** How an exchange speaks. */
export interface Line {
  send(message: ClientMessage, payload?: Payload): void;
  /** One is needed for each payload that is handed to `send`. */
  readonly payloads: Semaphore;
  /** The peer has broken a rule: ends the link. */
  close(reason: ShoalError): void;
}

const LAST: ReadonlySet<ServerMessage['type']> = new Set(['done', 'missing', 'unshared', 'pong', 'error']);

/** The message with which the peer ends a request. */
export function endsExchange(message: ServerMessage): boolean {
  return LAST.has(message.type);
}
