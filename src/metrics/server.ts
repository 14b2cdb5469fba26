import { hash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Profiler, profileRequest } from '../debug/profiler.js';
import { InvalidRequest, Overloaded } from '../errors.js';
import { hostName, isLoopbackName } from '../host-name.js';
import { Connections } from '../http/connections.js';
import { MeteredRequest } from '../http/metered-request.js';
import { connectionLimit } from '../open-files.js';
import type { MetricsRegistry } from './registry.js';

/** Serves the metrics, health and profiles of a worker or node over HTTP. */

/** Connections of scrapers and health checks. */
const METRICS_CONNECTIONS = 64;

export interface MetricsServerOptions {
  readonly registry: MetricsRegistry;
  /** The default is loopback, as metrics contain the names of workers and models. */
  readonly host?: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Whether the process can serve now. */
  readonly ready: () => boolean;
  /** The dependency that is missing at the moment; null for none. */
  readonly degraded?: () => string | null;
  /** Profiles for holders of the key; null for none. */
  readonly debug?: { readonly key: string; readonly profiler: Profiler } | null;
}

export interface MetricsServer {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves `GET /metrics`, `/health/live`, `/health/ready` and, for operators, `/debug/profile`. Rejects if the address is taken.
 *
 * On a loopback address only requests to loopback names are answered, so that no name of a stranger leads a browser to it (DNS rebinding). A
 * connection serves one request, and a client that sends many at once is disconnected (`Connections`). Requests with a body are refused.
 */
export function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const host = options.host ?? '127.0.0.1';
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    const leaving = new AbortController();
    response.on('close', () => leaving.abort());
    // A client that goes on sending does not see its answer end: nobody reads what it sends.
    if (hasBody(request)) response.once('finish', () => request.socket.destroy());
    void answerTo(request, host, options, leaving.signal).then((reply) => send(response, reply));
  };
  const maxConnections = connectionLimit(METRICS_CONNECTIONS);
  const connections = new Connections(maxConnections);
  const server = createServer({ IncomingMessage: MeteredRequest }, (request, response) =>
    connections.enqueue(request, response, handle),
  );
  connections.watch(server);
  server.maxConnections = maxConnections;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, host, () => {
      server.off('error', reject);
      // A connection that the system cannot open, for lack of file descriptors, is no reason to end the process.
      server.on('error', () => {});
      const { port } = server.address() as AddressInfo;
      resolve({
        url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
        close: () =>
          new Promise((done) => {
            server.close(() => done());
            server.closeAllConnections();
          }),
      });
    });
  });
}

interface Reply {
  readonly status: number;
  readonly body: string;
  readonly contentType?: string;
}

async function answerTo(
  { method, url, headers }: IncomingMessage,
  host: string,
  options: MetricsServerOptions,
  signal: AbortSignal,
): Promise<Reply> {
  if (isLoopbackName(host) && !isLoopbackName(hostName(headers.host ?? '') ?? ''))
    return { status: 403, body: 'this host name is not allowed; use localhost\n' };
  if (hasBody({ headers })) return { status: 413, body: 'no route takes a body\n' };
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: 'method not allowed\n' };
  switch ((url ?? '/').split('?', 1)[0]) {
    case '/health/live':
      return { status: 200, body: 'ok\n' };
    case '/health/ready':
      return options.ready() ? { status: 200, body: readyText(options) } : { status: 503, body: 'not ready\n' };
    case '/metrics':
      return options.registry.text().then(
        (body) => ({ status: 200, body, contentType: options.registry.contentType }),
        () => ({ status: 500, body: 'cannot read the metrics\n' }),
      );
    case '/debug/profile':
      return profile(url ?? '', headers.authorization ?? '', options, signal);
    default:
      return { status: 404, body: 'not found: try /metrics, /health/live or /health/ready\n' };
  }
}

async function profile(
  url: string,
  authorization: string,
  { debug = null }: MetricsServerOptions,
  signal: AbortSignal,
): Promise<Reply> {
  if (debug === null || !isSame(authorization, `Bearer ${debug.key}`))
    return { status: 401, body: 'profiles need the key of the operators\n' };
  try {
    const request = profileRequest(new URLSearchParams(url.split('?')[1] ?? ''));
    const body = JSON.stringify(await debug.profiler.take(request, signal));
    return { status: 200, body, contentType: 'application/json' };
  } catch (error) {
    const status = error instanceof InvalidRequest ? 400 : error instanceof Overloaded ? 429 : 500;
    return { status, body: `${error instanceof Error && status !== 500 ? error.message : 'cannot take a profile'}\n` };
  }
}

function hasBody({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  return Number(headers['content-length'] ?? 0) > 0 || headers['transfer-encoding'] !== undefined;
}

/** In a time that does not depend on where the two differ. */
function isSame(given: string, wanted: string): boolean {
  return timingSafeEqual(hash('sha256', given, 'buffer'), hash('sha256', wanted, 'buffer'));
}

function readyText({ degraded }: MetricsServerOptions): string {
  const without = degraded?.() ?? null;
  return without === null ? 'ok\n' : `ok, degraded: ${without}\n`;
}

function send(response: ServerResponse, { status, body, contentType = 'text/plain; charset=utf-8' }: Reply): void {
  response.writeHead(status, { 'content-type': contentType, connection: 'close' }).end(body);
}
