import type { KeyValue, KeyValueEntry } from '../../src/bus/key-value.js';
import type { MemoryKeyValue } from '../../src/bus/memory-key-value.js';
import { type BucketStore, useStore } from '../../src/bus/nats-store.js';
import type { ServerConnection } from '../../src/bus/nats-store-fault.js';
import { type StoreRequest, StoreState } from '../../src/bus/store-state.js';
import type { Transport } from '../../src/bus/transport.js';
import { Unavailable } from '../../src/errors.js';
import type { NatsServer, SimBus, StoreOutage } from './sim-nats.js';
import type { SimProcess } from './sim-process.js';

/** The store of the simulated NATS, as its clients meet it: the production code judges its answers, and their absence. */

/** As `nats-key-value.ts` sets it. */
const KEY_VALUE_TIMEOUT_MS = 2_000;
/** JetStream's code of a message that it could not write. */
const STORE_FAILED = 10077;

/** An error that the library of NATS would throw. */
class LibraryError extends Error {
  constructor(
    override readonly name: 'JetStreamApiError' | 'JetStreamNotEnabled' | 'TimeoutError',
    message: string,
    readonly code?: number,
  ) {
    super(message);
  }
}

/** What the server makes of a request: its result, its refusal, or nothing. */
type Answer<T> = { readonly value: Promise<T> } | { readonly error: LibraryError } | null;

/** A bucket as a client sees it: each request has a limit of time. */
class SimKeyValue implements KeyValue {
  constructor(
    private readonly store: BucketStore,
    private readonly bus: SimBus,
  ) {}

  get(key: string): Promise<KeyValueEntry | null> {
    return this.request('read', (bucket) => bucket.get(key));
  }

  create(key: string, value: Uint8Array): Promise<boolean> {
    return this.request('write', (bucket) => bucket.create(key, value));
  }

  update(key: string, value: Uint8Array, revision: number): Promise<boolean> {
    return this.request('write', (bucket) => bucket.update(key, value, revision));
  }

  delete(key: string): Promise<void> {
    return this.request('write', (bucket) => bucket.delete(key));
  }

  private request<T>(kind: StoreRequest, act: (bucket: MemoryKeyValue) => Promise<T>): Promise<T> {
    return useStore(this.store, kind, () => this.send(kind, act));
  }

  private send<T>(kind: StoreRequest, act: (bucket: MemoryKeyValue) => Promise<T>): Promise<T> {
    const { server, process } = this.bus;
    const { bucket } = this.store;
    return new Promise<T>((resolve, reject) => {
      const timer = process.clock.after(KEY_VALUE_TIMEOUT_MS, () => {
        const why = `no answer within ${KEY_VALUE_TIMEOUT_MS} ms`;
        reject(server.isUnreliable ? new Unavailable(why) : new LibraryError('TimeoutError', why));
      });
      let silent = false;
      this.bus.ask<Answer<T>>(
        () => {
          const answer = answerOf(server.outage, kind, server.hasBucket(bucket), () => act(server.bucket(bucket)));
          silent = answer === null;
          if (answer === null || 'error' in answer) noteRefusal(server, process);
          return answer;
        },
        (answer) => {
          timer.cancel();
          if (answer === null) return;
          if ('value' in answer) answer.value.then(resolve, reject);
          else reject(answer.error);
        },
        // A request may have been carried out although its answer is lost.
        () => (silent ? 0 : server.drawArrivals()),
      );
    });
  }
}

/** `isThere`: the bucket is; otherwise its first use creates it, which is a write. */
function answerOf<T>(
  outage: StoreOutage | null,
  kind: StoreRequest,
  isThere: boolean,
  act: () => Promise<T>,
): Answer<T> {
  const writes = kind === 'write' || !isThere;
  if (outage === 'silent' || (outage === 'mute' && writes)) return null;
  if (outage === 'off') return { error: new LibraryError('JetStreamNotEnabled', 'jetstream is not enabled') };
  if (outage === 'full' && writes)
    return { error: new LibraryError('JetStreamApiError', 'no space left on device', STORE_FAILED) };
  return { value: act() };
}

function noteRefusal({ refusals, net }: NatsServer, process: SimProcess): void {
  if (!refusals.has(process)) refusals.set(process, net.options.time.nowMs);
}

/** The transport of a process over the simulated NATS. */
export function simTransport(bus: SimBus): Transport {
  const state = new StoreState();
  const { clock } = bus.process;
  const connection: ServerConnection = {
    get info() {
      return bus.serverId === undefined ? undefined : { server_id: bus.serverId };
    },
    getServer: () => 'nats',
    flush: () => bus.flush(),
  };
  return {
    bus,
    openKeyValue: async (bucket) =>
      new SimKeyValue({ bucket, connection, connected: () => bus.connected, state, clock }, bus),
    storeFault: () => state.fault,
  };
}
