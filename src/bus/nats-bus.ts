import { setTimeout as pause } from 'node:timers/promises';
import { connect, errors, type Msg, type NatsConnection, type NodeConnectionOptions } from '@nats-io/transport-node';
import { Cancelled, Overloaded, Refused, Unavailable } from '../errors.js';
import * as limits from '../limits.js';
import {
  type Bus,
  type BusMessage,
  type BusStatus,
  checkPayload,
  type OnBusError,
  type Subscription,
  throwLater,
} from './bus.js';
import { checkPattern, checkSubject } from './subject.js';

/** Bytes published that the server has not read yet. */
const BUS_PENDING_BYTES = 64 * 2 ** 20;
/** The pause before a lost server is tried again: the first, and the longest. */
const BUS_RECONNECT_MS = 100;
const BUS_RECONNECT_CEILING_MS = 2_000;
/** A server that does not answer two pings in a row is lost. That takes less than `CALL_SILENCE_MS`, after which its nodes would count as silent. @internal exported for tests. */
export const BUS_PING_INTERVAL_MS = 1_000;
const BUS_CONNECT_TIMEOUT_MS = 5_000;

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
  /** Keep trying if the server is not there yet, instead of failing. Wrong credentials are tried again too. */
  waitForServer?: boolean;
  /** While the server is waited for: told why, each time that is another reason than before. */
  onWaiting?: (why: Error) => void;
  /** Ends the waiting. */
  signal?: AbortSignal;
  /** Bytes published that the server has not read yet, over which `publish` throws Overloaded. */
  maxPendingBytes?: number;
  onError?: OnBusError;
}

/**
 * Connects, and from then on reconnects for ever with growing pauses. Throws Unavailable if no server answers, Refused if
 * it does not accept the credentials, Cancelled if nobody wants to wait any more. No error or log carries the credentials.
 */
export async function connectNats(options: NatsOptions): Promise<NatsBus> {
  const settings = connectionOptions(options);
  const startedMs = performance.now();
  let told = '';
  for (;;) {
    try {
      return await connectOnce(options, settings);
    } catch (error) {
      if (options.waitForServer !== true || !(error instanceof Error)) throw error;
      if (options.signal?.aborted) throw new Cancelled('nobody waits for NATS any more', { cause: error });
      if (error.message !== told) options.onWaiting?.(error);
      told = error.message;
      // Aborted, it ends at once, and the next try is the last.
      await pause(pauseMs(performance.now() - startedMs), undefined, { signal: options.signal }).catch(() => {});
    }
  }
}

async function connectOnce(options: NatsOptions, { servers, ...settings }: Settings): Promise<NatsBus> {
  const reconnecting = { sinceMs: 0 };
  try {
    const connection = await connect({
      ...settings,
      servers,
      reconnectDelayHandler: () => pauseMs(reconnecting.sinceMs === 0 ? 0 : performance.now() - reconnecting.sinceMs),
    });
    const bus = new NatsBus(connection, options);
    bus.onStatus((status) => {
      reconnecting.sinceMs = status === 'lost' ? performance.now() : 0;
    });
    return bus;
  } catch (error) {
    const where = servers.join(', ');
    if (error instanceof errors.AuthorizationError || error instanceof errors.UserAuthenticationExpiredError) {
      throw new Refused(`NATS at ${where} refuses the credentials: check user and password`);
    }
    const reason = error instanceof Error ? error.message : String(error);
    throw new Unavailable(`cannot reach NATS at ${where} (${reason}): check the URL and that nats-server runs`);
  }
}

/** The longer the server is lost, the longer the pause; half of it by chance, so that a fleet does not come back at once. */
function pauseMs(lostForMs: number): number {
  const base = Math.min(Math.max(lostForMs / 2, BUS_RECONNECT_MS), BUS_RECONNECT_CEILING_MS);
  return Math.round(base * (0.5 + Math.random() / 2));
}

type Settings = NodeConnectionOptions & { servers: string[] };

function connectionOptions(options: NatsOptions): Settings {
  const urls = options.url.split(',').map((url) => parseUrl(url.trim()));
  const carrier = urls.find((url) => url.username !== '');
  const user = options.user ?? (carrier && decodeURIComponent(carrier.username));
  const password = options.password ?? (carrier && decodeURIComponent(carrier.password));
  const settings: Settings = {
    // Only host and port go on: the library shows what it is given in its errors.
    servers: urls.map((url) => `${url.hostname}:${url.port === '' ? 4222 : url.port}`),
    name: options.name ?? 'shoal',
    maxReconnectAttempts: -1,
    ignoreAuthErrorAbort: true,
    pingInterval: BUS_PING_INTERVAL_MS,
    maxPingOut: 2,
    timeout: BUS_CONNECT_TIMEOUT_MS,
    noAsyncTraces: true,
  };
  if (user !== undefined) settings.user = user;
  if (password !== undefined) settings.pass = password;
  if (options.token !== undefined) settings.token = options.token;
  if (options.tls || urls.some((url) => url.protocol === 'tls:')) settings.tls = { ...options.tls };
  return settings;
}

function parseUrl(text: string): URL {
  try {
    const url = new URL(text.includes('://') ? text : `nats://${text}`);
    if (url.hostname !== '' && (url.protocol === 'nats:' || url.protocol === 'tls:')) return url;
  } catch {
    // Falls through: the text may hold a password, so neither it nor the parser's error is shown.
  }
  throw new Refused('the NATS URL is not of the form nats://host:port or tls://host:port');
}

/** How many bytes are published between two questions to the server whether it has read them. */
const CONFIRM_BYTES = 256 * 1024;

/** The bus over one NATS connection. */
export class NatsBus implements Bus {
  private state: 'connected' | 'lost' | 'closed' = 'connected';
  private readonly listeners = new Set<(status: BusStatus) => void>();
  private readonly maxPendingBytes: number;
  private readonly onError: OnBusError;
  /** Published and not yet known to be read by the server. */
  private pendingBytes = 0;
  private unaskedBytes = 0;

  constructor(
    /** For JetStream and key-value buckets, which packages of their own put on top of a connection. */
    readonly connection: NatsConnection,
    options: Pick<NatsOptions, 'maxPendingBytes' | 'onError'> = {},
  ) {
    this.maxPendingBytes = options.maxPendingBytes ?? BUS_PENDING_BYTES;
    this.onError = options.onError ?? throwLater;
    void this.watch();
  }

  get maxPayloadBytes(): number {
    return Math.min(this.connection.info?.max_payload ?? limits.BUS_MESSAGE_BYTES, limits.BUS_MESSAGE_BYTES);
  }

  get connected(): boolean {
    return this.state === 'connected';
  }

  publish(subject: string, payload: Uint8Array, reply?: string): void {
    checkSubject(subject);
    if (reply !== undefined) checkSubject(reply);
    checkPayload(payload, this.maxPayloadBytes);
    if (this.state !== 'connected') throw new Unavailable(`cannot publish: NATS is ${this.state}`);
    if (this.pendingBytes + payload.byteLength > this.maxPendingBytes) {
      throw new Overloaded(`cannot publish: ${this.pendingBytes} bytes already wait for NATS to read them`);
    }
    this.connection.publish(subject, payload, reply === undefined ? undefined : { reply });
    this.account(payload.byteLength);
  }

  subscribe(pattern: string, handler: (message: BusMessage) => void, options?: { queue?: string }): Subscription {
    checkPattern(pattern);
    if (this.state === 'closed') throw new Unavailable(`cannot subscribe to ${pattern}: the bus is closed`);
    const subscription = this.connection.subscribe(pattern, {
      ...(options?.queue === undefined ? {} : { queue: options.queue }),
      callback: (error, message) => {
        try {
          if (error) throw new Refused(`NATS does not allow the subscription to ${pattern}: ${error.message}`);
          handler(toBusMessage(message));
        } catch (thrown) {
          this.onError(thrown);
        }
      },
    });
    return {
      unsubscribe: () => {
        if (!subscription.isClosed()) subscription.unsubscribe();
      },
    };
  }

  onStatus(listener: (status: BusStatus) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async flush(): Promise<void> {
    if (this.state !== 'connected') throw new Unavailable(`cannot flush: NATS is ${this.state}`);
    try {
      await this.connection.flush();
    } catch {
      throw new Unavailable('cannot flush: the connection to NATS was lost');
    }
  }

  async close(): Promise<void> {
    if (this.state === 'closed') return;
    const connected = this.state === 'connected';
    this.state = 'closed';
    this.listeners.clear();
    // A drain waits for the server, which is not there if the connection is lost.
    if (connected) await this.connection.drain().catch(() => undefined);
    await this.connection.close();
  }

  private account(bytes: number): void {
    this.pendingBytes += bytes;
    this.unaskedBytes += bytes;
    if (this.unaskedBytes < Math.min(CONFIRM_BYTES, this.maxPendingBytes / 2)) return;
    const asked = this.unaskedBytes;
    this.unaskedBytes = 0;
    const confirmed = () => {
      this.pendingBytes = Math.max(this.pendingBytes - asked, 0);
    };
    // Of a lost connection nothing is pending either: NATS does not send it later.
    this.connection.flush().then(confirmed, confirmed);
  }

  private async watch(): Promise<void> {
    for await (const status of this.connection.status()) {
      if (status.type === 'disconnect') this.change('connected', 'lost');
      if (status.type === 'reconnect') this.change('lost', 'connected');
    }
  }

  private change(from: 'connected' | 'lost', to: 'connected' | 'lost'): void {
    if (this.state !== from) return;
    this.state = to;
    this.unaskedBytes = 0;
    if (to === 'lost') this.pendingBytes = 0;
    for (const listener of [...this.listeners]) listener(to === 'lost' ? 'lost' : 'found');
  }
}

function toBusMessage(message: Msg): BusMessage {
  const { subject, data, reply } = message;
  const nobody = data.byteLength === 0 && message.headers?.code === 503;
  return { subject, payload: data, reply: reply ? reply : null, nobody };
}
