import { connectNats } from './nats-bus.js';
import { NatsKeyValue } from './nats-key-value.js';
import type { Transport } from './transport.js';

export interface NatsTransportOptions {
  readonly url: string;
  readonly user: string | null;
  readonly password: string | null;
  /** Shown by the server's monitoring. */
  readonly name: string;
  /** Ends the waiting for a server. */
  readonly signal: AbortSignal;
  /** While the server is waited for: told why, each time the reason is another one. */
  readonly onWaiting: (why: Error) => void;
}

/**
 * The transport of a fleet over NATS, with buckets in JetStream. Waits for a server that is not there yet.
 * @throws Cancelled where it waited for NATS when `signal` was raised
 */
export async function natsTransport({ user, password, ...options }: NatsTransportOptions): Promise<Transport> {
  const bus = await connectNats({
    ...options,
    ...(user === null ? {} : { user }),
    ...(password === null ? {} : { password }),
    waitForServer: true,
  });
  return { bus, openKeyValue: (bucket) => NatsKeyValue.open(bus, bucket) };
}
