import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CallOptions } from '../../actors/outgoing-call.js';
import { type ErrorCode, InvalidRequest, ShoalError, toWire } from '../../errors.js';
import { isLoopbackName } from '../../host-name.js';
import type { ActorHandle } from '../client/handle-types.js';
import { admit, argumentsOf, WrongRequest } from './ingress-request.js';

/** Methods of an actor over HTTP: `POST /METHOD` with the list of arguments as JSON. A stream is answered by a line of JSON for each item. */

export interface IngressOptions<T> {
  /** The methods that can be called; no others. */
  readonly methods: readonly (keyof T & string)[];
  /** 0 takes a free port. */
  readonly port: number;
  /** Default: 127.0.0.1. Any other address needs a key. */
  readonly host?: string;
  /** What clients send as `authorization: Bearer KEY`. Default: none. */
  readonly key?: string;
  /** Time for a call. Default: 60 s. */
  readonly timeoutMs?: number;
  /** Limit on the arguments. Default: 1 MiB. */
  readonly maxBytes?: number;
}

export interface Ingress {
  readonly url: string;
  close(): Promise<void>;
}

type Method = (...args: readonly unknown[]) => Promise<unknown> | AsyncIterable<unknown>;

const LOOPBACK = '127.0.0.1';
const CONNECTIONS = 1_024;
const STATUS: Partial<Record<ErrorCode, number>> = {
  ...{ invalid: 400, refused: 403, cancelled: 499, overloaded: 429, unavailable: 503, deadline: 504 },
};

/** Serves an actor. Rejects if the address is taken. @throws InvalidRequest for an address of others without a key */
export async function serveActor<T>(actor: ActorHandle<T>, options: IngressOptions<T>): Promise<Ingress> {
  const { host = LOOPBACK, port, key } = options;
  if (!isLoopbackName(host) && !key)
    throw new InvalidRequest(`key: must be given where others than this machine can call, on ${host}`, 'key');
  const server = createServer((request, response) => {
    answer(actor, options, request, response).catch((error) => refuse(response, error));
  });
  server.maxConnections = CONNECTIONS;
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  const name = host.includes(':') ? `[${host}]` : host;
  const close = async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  };
  return { url: `http://${name}:${(server.address() as AddressInfo).port}`, close };
}

async function answer<T>(
  actor: ActorHandle<T>,
  options: IngressOptions<T>,
  request: IncomingMessage,
  to: ServerResponse,
) {
  admit(request, options.host ?? LOOPBACK, options.key);
  const method = options.methods.find((name) => request.url === `/${encodeURIComponent(name)}`);
  if (method === undefined || request.method !== 'POST') {
    throw new WrongRequest(
      method === undefined ? 404 : 405,
      `cannot ${request.method} ${request.url}: only POST /METHOD is allowed, for ${options.methods.join(', ')}`,
    );
  }
  const args = await argumentsOf(request, options.maxBytes ?? 2 ** 20);
  const leaving = new AbortController();
  to.on('close', () => leaving.abort());
  const call: CallOptions = { signal: leaving.signal, timeoutMs: options.timeoutMs ?? 60_000 };
  const result = (actor.$with(call) as Record<string, Method>)[method]!(...args);
  if (!(Symbol.asyncIterator in result)) {
    const text = JSON.stringify((await result) ?? null);
    to.writeHead(200, { 'content-type': 'application/json' }).end(text);
    return;
  }
  for await (const item of result) {
    if (!to.headersSent) to.writeHead(200, { 'content-type': 'application/x-ndjson' });
    if (!to.write(`${JSON.stringify(item)}\n`) && !leaving.signal.aborted)
      await new Promise((resolve) => to.once('drain', resolve).once('close', resolve));
  }
  if (!to.headersSent) to.writeHead(200, { 'content-type': 'application/x-ndjson' });
  to.end();
}

/** A stream that has begun ends with a line that has the error. */
function refuse(to: ServerResponse, error: unknown): void {
  const { message, code } =
    error instanceof ShoalError ? toWire(error) : { message: String(error), code: 'failed' as const };
  const text = JSON.stringify({ error: { message, type: code, param: null, code } });
  if (to.headersSent) to.end(`${text}\n`);
  else
    to.writeHead(error instanceof WrongRequest ? error.status : (STATUS[code] ?? 500), {
      'content-type': 'application/json',
    }).end(text);
}
