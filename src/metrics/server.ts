import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connectionLimit } from '../open-files.js';
import type { MetricsRegistry } from './registry.js';

/** Serves a worker's metrics and health over HTTP. */

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
  /** What the process does without at the moment; null for nothing. */
  readonly degraded?: () => string | null;
}

export interface MetricsServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Serves `GET /metrics`, `/health/live` and `/health/ready`. Rejects if the address is taken. */
export function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    const path = (request.url ?? '/').split('?', 1)[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(response, 405, 'method not allowed\n');
    if (path === '/health/live') return answer(response, 200, 'ok\n');
    if (path === '/health/ready')
      return options.ready() ? answer(response, 200, readyText(options)) : answer(response, 503, 'not ready\n');
    if (path === '/metrics') {
      options.registry.text().then(
        (text) => answer(response, 200, text, options.registry.contentType),
        () => answer(response, 500, 'cannot read the metrics\n'),
      );
      return;
    }
    answer(response, 404, 'not found: try /metrics, /health/live or /health/ready\n');
  });
  server.maxConnections = connectionLimit(METRICS_CONNECTIONS);
  const host = options.host ?? '127.0.0.1';
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

function readyText({ degraded }: MetricsServerOptions): string {
  const without = degraded?.() ?? null;
  return without === null ? 'ok\n' : `ok, degraded: ${without}\n`;
}

function answer(
  response: ServerResponse,
  status: number,
  body: string,
  contentType = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, { 'content-type': contentType }).end(body);
}
