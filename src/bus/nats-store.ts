import type { Clock } from '../clock.js';
import { Unavailable, Unsupported } from '../errors.js';
import { NOT_ENABLED_FOR_ACCOUNT, type ServerConnection, storeFault } from './nats-store-fault.js';
import type { StoreRequest, StoreState } from './store-state.js';

/** The requests of a bucket to the store of NATS: with what is known of the store, and with clear errors. */

export interface BucketStore {
  readonly bucket: string;
  readonly connection: ServerConnection;
  /** Whether NATS is connected. If not, a request would wait in vain. */
  readonly connected: () => boolean;
  readonly state: StoreState;
  readonly clock: Clock;
}

/** How often a request looks at the time. */
const LOOK_MS = 250;
/** A process that does not look for this long has stood still: an answer may be waiting to be read. */
const STILL_MS = 1_000;

/**
 * Runs `act`, which asks the store, unless the store is to be left alone.
 * @throws Unsupported if JetStream is off or not allowed, Unavailable if it does not do what it is asked now, with the reason and a remedy
 */
export async function useStore<T>(
  { bucket, connection, connected, state, clock }: BucketStore,
  request: StoreRequest,
  act: () => Promise<T>,
): Promise<T> {
  const notConnected = () =>
    new Unavailable(`cannot use the NATS bucket ${bucket}: NATS is not connected; retry once it is`);
  if (!connected()) throw notConnected();
  const serverId = connection.info?.server_id;
  const paused = state.pausedBecause(bucket, request, clock.now(), serverId);
  if (paused !== null) throw new Unavailable(`cannot use the NATS bucket ${bucket}: ${paused}`);
  const askedMs = clock.now();
  const stillness = new Stillness(clock);
  try {
    const result = await act();
    state.answered(bucket, request);
    return result;
  } catch (error) {
    if (!connected()) throw notConnected();
    if (error instanceof Unavailable) throw error;
    const stoodStill = stillness.longestMs >= STILL_MS;
    const fault = stoodStill
      ? null
      : await storeFault(error, connection, clock, { bucket, request, worked: state.worked, serverId });
    if (fault !== null) {
      state.failed(bucket, fault, clock.now(), serverId, { askedMs });
      throw new Unavailable(`cannot use NATS as a store: ${state.closedBecause(bucket) ?? fault.why}`);
    }
    const reason = error instanceof Error ? error.message : String(error);
    const unsupported = isNamed(error, 'JetStreamNotEnabled') || isRefusal(error) || isOffForAccount(error);
    throw new (unsupported ? Unsupported : Unavailable)(
      isRefusal(error)
        ? `cannot use the NATS bucket ${bucket}: this user of NATS may not (${reason}); use the user, the password and the namespace of this role`
        : `cannot use the NATS bucket ${bucket}: ${reason}; check that JetStream is on`,
    );
  } finally {
    stillness.stop();
  }
}

/** Whether the server refused a request because the user has no right to it. */
export function isRefusal(error: unknown): boolean {
  const name = 'PermissionViolationError';
  return isNamed(error, name) || (error instanceof Error && isNamed(error.cause, name));
}

/** Whether the error has this name. For classes of errors that the library does not export. */
export function isNamed(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name;
}

function isOffForAccount(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === NOT_ENABLED_FOR_ACCOUNT;
}

/** Measures the longest time in which this process did nothing. */
class Stillness {
  private seenMs: number;
  private mostMs = 0;
  private readonly looking;

  constructor(private readonly clock: Clock) {
    this.seenMs = clock.now();
    this.looking = clock.every(LOOK_MS, () => this.look());
  }

  /** Since it was made. */
  get longestMs(): number {
    this.look();
    return this.mostMs;
  }

  stop(): void {
    this.looking.cancel();
  }

  private look(): void {
    const nowMs = this.clock.now();
    this.mostMs = Math.max(this.mostMs, nowMs - this.seenMs);
    this.seenMs = nowMs;
  }
}
