import { setTimeout as pause } from 'node:timers/promises';
import { Cancelled, Refused, Unavailable } from '../errors.js';
import { NatsBus } from './nats-bus.js';
import {
  connect,
  cutConnection,
  errors,
  headers,
  type MsgHdrs,
  type NatsConnection,
  type NodeConnectionOptions,
} from './nats-client.js';
import { boundHeaders, type HeadersClass } from './nats-headers.js';
import type { NatsOptions } from './nats-options.js';
import { parseNatsUrl } from './nats-url.js';

/** Connects to NATS, and sets how the connection is made again when it was lost. */

/** First pause before a lost server is tried again. */
const BUS_RECONNECT_MS = 100;
/** Longest pause before a lost server is tried again. */
const BUS_RECONNECT_CEILING_MS = 2_000;
/** The library's own pings are off: `NatsPulse` stands in for them. */
const NO_PINGS_MS = 2 ** 31 - 1;
const BUS_CONNECT_TIMEOUT_MS = 5_000;

/**
 * Connects, and from then on reconnects without limit, with growing pauses. No error or log contains the credentials.
 * @throws Unavailable if no server answers, Refused if the server refuses the credentials or takes only smaller messages than shoal sends,
 * Cancelled if `signal` aborts while it waits
 */
export async function connectNats(options: NatsOptions): Promise<NatsBus> {
  const bus = await connectOrWait(options);
  const { shortcoming } = bus;
  if (shortcoming === null) return bus;
  await bus.close();
  throw new Refused(`cannot use NATS: ${shortcoming}`);
}

async function connectOrWait(options: NatsOptions): Promise<NatsBus> {
  const settings = connectionOptions(options);
  const startedMs = performance.now();
  let reported = '';
  for (;;) {
    try {
      return await connectOnce(options, settings);
    } catch (error) {
      if (options.waitForServer !== true || !(error instanceof Error)) throw error;
      if (options.signal?.aborted) throw new Cancelled('the wait for NATS was cancelled', { cause: error });
      if (error.message !== reported) options.onWaiting?.(error);
      reported = error.message;
      // An abort ends the pause at once, and the next attempt is the last.
      await pause(pauseMs(performance.now() - startedMs), undefined, { signal: options.signal }).catch(() => {});
    }
  }
}

async function connectOnce(options: NatsOptions, { servers, ...settings }: Settings): Promise<NatsBus> {
  boundHeaders(headers().constructor as unknown as HeadersClass<MsgHdrs>);
  const reconnecting: { sinceMs: number; connection: NatsConnection | null } = { sinceMs: 0, connection: null };
  try {
    const connection = await connect({
      ...settings,
      servers,
      reconnectDelayHandler: () => {
        // The library leaves a socket open on which a server that stands still never answered.
        if (reconnecting.connection !== null) cutConnection(reconnecting.connection);
        return pauseMs(reconnecting.sinceMs === 0 ? 0 : performance.now() - reconnecting.sinceMs);
      },
    });
    reconnecting.connection = connection;
    // Until it is connected for the first time, the library forgets the servers that it cannot reach.
    connection.setServers([...new Set([...connection.getServers().map(({ listen }) => listen), ...servers])]);
    const bus = new NatsBus(connection, options);
    bus.onStatus((status) => {
      reconnecting.sinceMs = status === 'lost' ? performance.now() : 0;
    });
    return bus;
  } catch (error) {
    const where = servers.join(', ');
    if (error instanceof errors.AuthorizationError || error instanceof errors.UserAuthenticationExpiredError) {
      throw new Refused(`NATS at ${where} refuses the credentials; check user and password`);
    }
    const reason = error instanceof Error ? error.message : String(error);
    throw new Unavailable(`cannot reach NATS at ${where}: ${reason}; check the URL and that nats-server runs`);
  }
}

/** The pause grows with the time since the loss. Half of it is random, so that a fleet does not reconnect all at once. */
function pauseMs(lostForMs: number): number {
  const base = Math.min(Math.max(lostForMs / 2, BUS_RECONNECT_MS), BUS_RECONNECT_CEILING_MS);
  return Math.round(base * (0.5 + Math.random() / 2));
}

type Settings = NodeConnectionOptions & { servers: string[] };

function connectionOptions(options: NatsOptions): Settings {
  const urls = options.url.split(',').map((url) => parseNatsUrl(url.trim()));
  const carrier = urls.find((url) => url.username !== '');
  const user = options.user ?? (carrier && decodeURIComponent(carrier.username));
  const password = options.password ?? (carrier && decodeURIComponent(carrier.password));
  const settings: Settings = {
    // Only host and port are passed on, because the library's errors contain the server's URL.
    servers: urls.map((url) => `${url.hostname}:${url.port === '' ? 4222 : url.port}`),
    name: options.name ?? 'shoal',
    maxReconnectAttempts: -1,
    ignoreAuthErrorAbort: true,
    pingInterval: NO_PINGS_MS,
    timeout: BUS_CONNECT_TIMEOUT_MS,
    noAsyncTraces: true,
  };
  if (options.inbox !== undefined) settings.inboxPrefix = options.inbox;
  if (user !== undefined) settings.user = user;
  if (password !== undefined) settings.pass = password;
  if (options.token !== undefined) settings.token = options.token;
  if (options.tls || urls.some((url) => url.protocol === 'tls:')) settings.tls = { ...options.tls };
  return settings;
}
