import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, Server as TlsServer } from 'node:https';
import type { Clock } from '../../src/clock.js';
import { Connections } from '../../src/http/connections.js';
import { MeteredRequest } from '../../src/http/metered-request.js';
import type { Log } from '../../src/log.js';
import { connectionLimit } from '../../src/open-files.js';
import { PacedLog } from '../../src/paced-log.js';
import { refuseExpectation } from './refusals.js';
import { listenOnUnixSocket } from './unix-socket.js';

/** The sockets of the HTTP API: plain or TLS, with the time limits of the API and a limit on connections. */

/** Connections of clients that a coordinator accepts, where the limit on its open files allows that many. */
const HTTP_CONNECTIONS = 16_384;
/** How long a client may take. */
interface ClientTimes {
  /** Until a request has come in whole. */
  readonly requestMs: number;
  /** Until the head of a request has come in whole. */
  readonly headMs: number;
  /** Until a TLS handshake is complete, which precedes the first head. */
  readonly handshakeMs: number;
}
const CLIENT_TIMES: ClientTimes = { requestMs: 60_000, headMs: 20_000, handshakeMs: 20_000 };
/** How often Node looks for requests that exceed their times, which are inexact by as much. */
const TIMES_LOOK_INTERVAL_MS = 1_000;
/** Until the next request on a connection. */
const KEEP_ALIVE_TIMEOUT_MS = 72_000;

/** Keys and certificates, as PEM. */
export interface TlsContext {
  readonly key: string;
  readonly cert: string;
  /** Authority of client certificates. Clients are asked for one; the border decides for which requests they need it. Null: not asked. */
  readonly clientCa: string | null;
}

export interface ListenerOptions {
  /** Null for plain HTTP. */
  readonly tls: TlsContext | null;
  readonly maxConnections?: number | undefined;
  readonly times?: ClientTimes;
  /** Headers of every answer to a request. */
  readonly answerHeaders: (request: IncomingMessage) => Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly log: Log;
}

export class Listener {
  private readonly connections: Connections;
  private readonly maxConnections: number;
  private readonly servers: Server[] = [];
  private readonly log: Log;
  private handle: RequestListener = () => {};

  constructor(private readonly options: ListenerOptions) {
    this.maxConnections = options.maxConnections ?? connectionLimit(HTTP_CONNECTIONS);
    this.connections = new Connections(this.maxConnections);
    this.log = new PacedLog(options.log, options.clock);
  }

  /** Makes a server that does not listen yet. A host name with two addresses needs two, which share all limits. */
  makeServer(handle: RequestListener): Server {
    this.handle = handle;
    return this.newServer(handle, this.options.tls);
  }

  /** Handles the requests of a Unix socket like the other servers' requests, without TLS; null for none. @throws Unavailable if it cannot listen */
  async listenOnSocket(path: string | null): Promise<void> {
    if (path !== null) this.closeSocket = await listenOnUnixSocket(this.newServer(this.handle, null), path);
  }

  /** Accepts no more connections on the Unix socket. Resolves when the open ones have ended. */
  closeSocket = async (): Promise<void> => {};

  private newServer(handle: RequestListener, tls: TlsContext | null): Server {
    const listener: RequestListener = (request, response) => this.accept(request, response, handle);
    const server = plainOrTls(listener, tls, this.options.times ?? CLIENT_TIMES);
    server.maxConnections = this.maxConnections;
    // The body is asked for once the head is accepted.
    server.on('checkContinue', listener);
    server.on('checkExpectation', (request, response) => this.accept(request, response, refuseExpectation));
    server.on('error', (err) => this.acceptFailed(err));
    this.connections.watch(server);
    this.servers.push(server);
    return server;
  }

  /** The request has come in whole, and is being answered. */
  answering(request: IncomingMessage): void {
    this.connections.answering(request);
  }

  /** New connections get this key and certificate. @throws Error if they do not fit each other */
  renewTls(tls: TlsContext): void {
    for (const server of this.servers) if (server instanceof TlsServer) server.setSecureContext(contextOf(tls));
  }

  closeConnections(): void {
    for (const server of this.servers) server.closeAllConnections();
  }

  private accept(request: IncomingMessage, response: ServerResponse, handle: RequestListener): void {
    this.connections.enqueue(request, response, () => {
      for (const [name, value] of Object.entries(this.options.answerHeaders(request))) response.setHeader(name, value);
      handle(request, response as Parameters<RequestListener>[1]);
    });
  }

  /** If the system cannot open a connection, for lack of file descriptors or memory, only its client is affected. */
  private acceptFailed(err: Error): void {
    this.log.warn(
      { err },
      'cannot accept a connection; if files are the cause, raise the limit on open files (ulimit -n)',
    );
  }
}

function plainOrTls(listener: RequestListener, tls: TlsContext | null, times: ClientTimes): Server {
  const options = {
    IncomingMessage: MeteredRequest,
    requestTimeout: times.requestMs,
    headersTimeout: times.headMs,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    connectionsCheckingInterval: TIMES_LOOK_INTERVAL_MS,
    // A request without a host is answered like any other that the border refuses.
    requireHostHeader: false,
  };
  if (tls === null) return createServer(options, listener);
  return createTlsServer({ ...options, ...contextOf(tls), handshakeTimeout: times.handshakeMs }, listener);
}

function contextOf({ key, cert, clientCa }: TlsContext) {
  const asked = clientCa === null ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: false };
  return { key, cert, minVersion: 'TLSv1.2' as const, ...asked };
}
