import { InvalidRequest } from '../errors.js';

/**
 * Messages by subject, at most once, in order from each publisher to each subscription. NATS in production, memory in tests.
 */
export interface Bus {
  /** Largest payload that `publish` takes. */
  readonly maxPayloadBytes: number;
  /** False between `lost` and `found`, and after `close`. */
  readonly connected: boolean;

  /**
   * Sends a message to every subscription that fits, this connection's own included. The payload must not be changed
   * afterwards. If nobody listens and `reply` is given, a message with `nobody: true` comes back to it.
   *
   * Throws InvalidRequest (payload too large, impossible subject), Unavailable (lost or closed: the message is not
   * sent later either), Overloaded (too much is waiting to be written). Clients may get to see what it says: it names no subject.
   */
  publish(subject: string, payload: Uint8Array, reply?: string): void;

  /**
   * Calls `handler` for every message whose subject fits the pattern (`*` one token, `>` the rest). Of subscriptions
   * with the same `queue` one gets each message. Survives a lost connection. What a handler throws goes to `onError`.
   */
  subscribe(pattern: string, handler: (message: BusMessage) => void, options?: { queue?: string }): Subscription;

  /** Tells when the connection is lost and found again. Returns a function that ends that. */
  onStatus(listener: (status: BusStatus) => void): () => void;

  /** Resolves when everything published and subscribed so far has reached the server. Rejects with Unavailable if it is lost before. */
  flush(): Promise<void>;

  /** Sends what is waiting and ends the connection. Idempotent. */
  close(): Promise<void>;
}

export interface BusMessage {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly reply: string | null;
  /** Nobody listens to the subject of the message for which this came as the reply. */
  readonly nobody: boolean;
}

export interface Subscription {
  /** No message arrives afterwards. Idempotent. */
  unsubscribe(): void;
}

export type BusStatus = 'lost' | 'found';

/** For errors thrown by handlers. Those are mistakes of ours: unless told otherwise, they end the process. */
export type OnBusError = (error: unknown) => void;

export const throwLater: OnBusError = (error) => {
  queueMicrotask(() => {
    throw error;
  });
};

/** Throws InvalidRequest if a payload is over the limit. */
export function checkPayload(payload: Uint8Array, maxBytes: number): void {
  if (payload.byteLength > maxBytes) {
    throw new InvalidRequest(
      `cannot publish ${payload.byteLength} bytes: a message has at most ${maxBytes} bytes; send large values over the byte plane`,
    );
  }
}
