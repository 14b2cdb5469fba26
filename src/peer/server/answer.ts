import type { Semaphore } from '../../async/semaphore.js';
import type { BlockDigest } from '../../core/block.js';
import type { ShoalError } from '../../errors.js';
import type { Payload } from '../wire/connection.js';
import type { ServerMessage } from '../wire/messages.js';

/** The dialled side of one request in a session, from its first frame to the last frame of the answer. */
export interface Answer {
  /** Called once, before all other methods. */
  start(reply: Reply): void;
  /** The payload of a `put` begins. Gives the memory for it. What it throws ends the session. Absent: the request takes no `put`. */
  put?(index: number): Uint8Array;
  /** The payload that began last has come. What it throws ends the session. */
  filled?(digest: BlockDigest): void;
  /** The peer does not read the blocks pinned last any more. What it throws ends the session. Absent: the request pins nothing. */
  unpinned?(): void;
  /** Whether the answer waits for a frame of the peer. */
  awaits(): boolean;
  /** The peer does not need the answer any more: end it soon. */
  cancel(): void;
  /** The session is over: no memory of the answer is read or written any more, and nothing can be sent. */
  closed(): void;
}

/** The way of an answer to the peer that asked. */
export interface Reply {
  send(message: ServerMessage, payload?: Payload): void;
  /** Sends the last message; the answer is not called any more. */
  finish(message: ServerMessage): void;
  /** The peer has broken a rule: closes the session. */
  close(reason: ShoalError): void;
  /** Each payload given to `send` needs a permit. */
  readonly payloads: Semaphore;
  /** Each block that is pinned for the peer needs a permit. */
  readonly pins: Semaphore;
}

/** Answers a ping. */
export const PONG: Answer = {
  start: (reply) => reply.finish({ type: 'pong' }),
  awaits: () => false,
  cancel: () => {},
  closed: () => {},
};
