import { connect, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { Access } from '../../../../coordinator/access/access.js';
import type { Exchange, RouteAnswer } from '../../../../coordinator/http/route.js';
import { type HttpServer, listen } from '../../../../coordinator/http/server.js';
import { NO_TRAIL } from '../../../../coordinator/trail/trail.js';
import type { Clock } from '../../../../src/clock.js';
import { SILENT_LOG } from '../../../../src/log.js';

export const STALL_TIMEOUT_MS = 1_000;
/** A request for the route of a bare server. */
export const ASK = 'GET /x HTTP/1.1\r\nhost: localhost\r\n\r\n';

export const answer = (text: string): RouteAnswer => ({ kind: 'text', contentType: 'text/plain', text });

/** A server with one route, and a raw connection to it; both are closed when the test ends. */
export async function bareServer(
  clock: Clock,
  handle: (exchange: Exchange) => RouteAnswer | Promise<RouteAnswer>,
): Promise<{ server: HttpServer; socket: Socket }> {
  const server = await listen(
    [{ method: 'GET', path: '/x', access: 'open', handle }],
    { host: '127.0.0.1', port: 0, stallTimeoutMs: STALL_TIMEOUT_MS, closeGraceMs: 0 },
    { access: new Access(null), clock, log: SILENT_LOG, trail: NO_TRAIL, onEnd: () => {} },
  );
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  onTestFinished(async () => {
    socket.destroy();
    await server.close();
  });
  return { server, socket };
}
