import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { ApiError } from '../openai/api-error.js';
import { discardBody } from './body.js';
import { requestIdOf } from './request-id.js';
import { securityHeaders } from './security-headers.js';

/** Answers to requests that never reach a route: unsupported expectations and bytes that are not HTTP. */

/** An expectation other than `100-continue` gets a 417. */
export function refuseExpectation(request: IncomingMessage, response: ServerResponse): void {
  discardBody(request, response);
  const failure = new ApiError(417, 'expect: is not supported; only 100-continue is', { code: 'expectation' });
  response.writeHead(failure.status, {
    'content-type': 'application/json; charset=utf-8',
    'x-request-id': requestIdOf(request.headers['x-request-id']),
  });
  response.end(JSON.stringify(failure.toBody()));
}

const MALFORMED: Readonly<Record<string, readonly [number, string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout'],
};

/** Answers bytes that are not HTTP: fastify has no request for them. */
export function refuseMalformed(code: string, socket: Socket): void {
  if (code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, reason] = MALFORMED[code] ?? [400, 'Bad Request'];
  const body = JSON.stringify(
    new ApiError(status, `cannot parse the request as HTTP: ${reason}`, { code: 'malformed_http' }).toBody(),
  );
  const head = [
    `HTTP/1.1 ${status} ${reason}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'content-type: application/json; charset=utf-8',
    `x-request-id: ${requestIdOf(undefined)}`,
    ...Object.entries(securityHeaders(false)).map(([name, value]) => `${name}: ${value}`),
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
