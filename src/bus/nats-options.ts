import type { Refused } from '../errors.js';
import type { OnBusError } from './bus.js';

/** How a process connects to NATS. */

export interface NatsOptions {
  /** `nats://host:port` or `tls://host:port`, several separated by commas. May carry `user:password@`. */
  url: string;
  user?: string;
  password?: string;
  token?: string;
  /** Shown by the server's monitoring. */
  name?: string;
  /** Files for TLS; TLS itself is on with a `tls://` URL, or if the server asks for it. */
  tls?: { caFile?: string; certFile?: string; keyFile?: string };
  /** Keeps trying if the first connection fails, instead of throwing. This includes refused credentials. */
  waitForServer?: boolean;
  /** Called while waiting for the server, with the error of the last attempt, each time its message changes. */
  onWaiting?: (why: Error) => void;
  /** Ends the wait for the server. */
  signal?: AbortSignal;
  /** Limit on the published bytes that the server has not read yet; above it `publish` throws Overloaded. */
  maxPendingBytes?: number;
  onError?: OnBusError;
  /** Subject below which the server answers this connection's requests; `_INBOX` by default. */
  inbox?: string;
  /** Called when the server refuses a message or a subscription for lack of rights, once for each subject. The default is `onError`. */
  onRefused?: (why: Refused) => void;
  /** Called for each message that was lost because too many wait to be handled. */
  onLost?: (subject: string) => void;
}
