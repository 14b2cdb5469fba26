import { connectNats } from './nats-connect.js';
import { NatsKeyValue } from './nats-key-value.js';
import { StoreState } from './store-state.js';
import type { Transport } from './transport.js';

/** The transport of a fleet over NATS. */

export interface NatsTransportOptions {
  readonly url: string;
  readonly user: string | null;
  readonly password: string | null;
  /** Shown by the server's monitoring. */
  readonly name: string;
  /** Where the server answers requests to buckets; see `NatsOptions`. */
  readonly inbox?: string;
  /** Called when the server refuses a message or a subscription for lack of rights. */
  readonly onRefused?: (why: Error) => void;
  /** Called for each message that was lost because too many wait to be handled. */
  readonly onLost?: (subject: string) => void;
  /** How long buckets whose store answers nothing are left alone. */
  readonly storePauseMs?: number;
  /** Ends the wait for a server. */
  readonly signal: AbortSignal;
  /** Called while waiting for a server, with the error of the last attempt, each time its message changes. */
  readonly onWaiting: (why: Error) => void;
}

/**
 * Opens the transport of a fleet over NATS, with buckets in JetStream. Waits until a server accepts the connection.
 * @throws Cancelled if `signal` aborts during the wait
 */
export async function natsTransport({
  user,
  password,
  storePauseMs,
  ...options
}: NatsTransportOptions): Promise<Transport> {
  const bus = await connectNats({
    ...options,
    ...(user === null ? {} : { user }),
    ...(password === null ? {} : { password }),
    waitForServer: true,
  });
  const state = new StoreState(storePauseMs);
  const tended = new Map<string, NatsKeyValue>();
  return {
    bus,
    openKeyValue: (bucket, limits) => NatsKeyValue.open(bus, bucket, { ...limits, state }),
    tendBucket: async (bucket, limits, sweeping, isKept = () => true) => {
      const kept = tended.get(bucket) ?? (await NatsKeyValue.open(bus, bucket, { ...limits, state }));
      tended.set(bucket, kept);
      return kept.tend(sweeping, isKept);
    },
    storeFault: () => state.fault,
  };
}
