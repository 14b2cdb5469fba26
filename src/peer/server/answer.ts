import type { Semaphore } from '../../async/semaphore.js';
import type { BlockDigest } from '../../core/block.js';
import type { ShoalError } from '../../errors.js';
import type { Payload } from '../wire/connection.js';
import type { ServerMessage } from '../wire/messages.js';

/** What this worker does about one request of a peer. */
export interface Answer {
  /** Called once, before all others. */
  start(reply: Reply): void;
  /** The payload of a `put` begins. Gives the memory for it. What it throws ends the session. */
  put(index: number): Uint8Array;
  /** The payload that began last is here whole. What it throws ends the session. */
  filled(digest: BlockDigest): void;
  /** The peer reads nothing any more of what was lent to it last. What it throws ends the session. */
  returned(): void;
  /** Whether it cannot go on before the peer sends something. */
  awaits(): boolean;
  /** The peer does not want it any more: end it soon. */
  cancel(): void;
  /** The session is over: no memory of the answer is read or written any more, and nothing can be said. */
  closed(): void;
}

/** How an answer is given. */
export interface Reply {
  send(message: ServerMessage, payload?: Payload): void;
  /** Sends the last message; the answer is not called any more. */
  finish(message: ServerMessage): void;
  /** Ends the session with the peer, which does what it must not. */
  close(reason: ShoalError): void;
  /** One is needed for each payload that is handed to `send`. */
  readonly payloads: Semaphore;
  /** One is needed for each block that the peer reads by itself. */
  readonly loans: Semaphore;
}
