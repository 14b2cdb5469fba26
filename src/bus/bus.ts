import { InvalidRequest } from '../errors.js';
import type { Sender } from './seal.js';

/**
 * The port for messages by subject. Delivery is at most once, in order from each publisher to each subscription. NATS implements it in
 * production, `MemoryBus` in tests.
 */
export interface Bus {
  /** Largest payload that `publish` accepts. */
  readonly maxPayloadBytes: number;
  /** Whether the bus is connected: false between `lost` and `found`, and after `close`. */
  readonly connected: boolean;
  /** Why the connected server cannot carry everything that shoal sends, with a remedy; null if it can. */
  readonly shortcoming: string | null;

  /**
   * Sends a message to every matching subscription, including those of this connection. The payload must not be changed
   * afterwards. If `reply` is given and no subscription matches, a report of that, a message with `nobody: true`, is delivered to `reply`.
   *
   * @throws InvalidRequest (payload too large for any server, invalid subject), Unavailable (lost, closed, or too large for the connected
   * server; the message is not sent later either), Overloaded (too many bytes wait to be written). Clients may see the messages of
   * Unavailable and Overloaded, which name no subject.
   */
  publish(subject: string, payload: Uint8Array, reply?: string): void;

  /**
   * Calls `handler` for every message whose subject matches the pattern (`*` one token, `>` the rest). Each message goes to one
   * of the subscriptions with the same `queue`. A subscription survives a lost connection. Errors of a handler go to `onError`. Reports go only to
   * subscriptions with `reports`: anyone on the bus can forge them.
   */
  subscribe(pattern: string, handler: (message: BusMessage) => void, options?: SubscribeOptions): Subscription;

  /** Calls `listener` when the connection is lost and when it is found again. Returns a function that removes the listener. */
  onStatus(listener: (status: BusStatus) => void): () => void;

  /** Resolves when all messages and subscriptions so far have reached the server, and its refusals this process. Rejects with Unavailable if the connection is lost before. */
  flush(): Promise<void>;

  /** Sends the waiting messages and closes the connection. Idempotent. */
  close(): Promise<void>;
}

export interface SubscribeOptions {
  readonly queue?: string;
  readonly reports?: boolean;
  /**
   * Names the sender of a message that has to wait, as far as that can be told at little cost; null for a message that is worth no wait. Where too many wait, the
   * senders with the most lose theirs first. Default: the subject.
   */
  readonly sender?: (message: BusMessage) => string | null;
}

export interface BusMessage {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly reply: string | null;
  /** Reports to a reply subject that the original message had no subscriber. */
  readonly nobody: boolean;
  /** The process that sealed it, which has proved that it lives. Absent on a bus that does not seal. */
  readonly from?: Sender;
}

export interface Subscription {
  /** Ends the subscription: its handler is not called afterwards. Idempotent. */
  unsubscribe(): void;
}

export type BusStatus = 'lost' | 'found';

/** Receives the errors thrown by handlers. Such an error is a bug; by default it ends the process. */
export type OnBusError = (error: unknown) => void;

export const throwLater: OnBusError = (error) => {
  queueMicrotask(() => {
    throw error;
  });
};

/** @throws InvalidRequest if a payload is over the limit */
export function checkPayload(payload: Uint8Array, maxBytes: number): void {
  if (payload.byteLength > maxBytes) {
    throw new InvalidRequest(
      `cannot publish ${payload.byteLength} bytes: a message has at most ${maxBytes} bytes; store large values with fleet.put, and send references to them`,
    );
  }
}
