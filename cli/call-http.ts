import { Agent, type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps, Agent as TlsAgent } from 'node:https';
import { hostname, networkInterfaces } from 'node:os';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** Calls coordinators and workers over HTTP; on this machine without a proxy, even if the environment names one. */

export interface HttpCall {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Pieces are sent as fast as the other side takes them. */
  readonly body?: string | AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal;
  /** Accepts any certificate of this machine: for calls that send no secret, or to a port that this program's own child has taken. */
  readonly trustsThisMachine?: boolean;
}

// With NODE_USE_ENV_PROXY, `fetch` and Node's global agents send requests through the proxy of HTTP_PROXY, unless NO_PROXY names the host. A
// proxy would look for the loopback address on its own machine.
const agents = { 'http:': new Agent(), 'https:': new TlsAgent() } as const;

/** Sends a request, as `fetch` does. A call to this machine goes there directly; any other may go through a proxy. */
export function callHttp(url: URL, call: HttpCall = {}): Promise<Response> {
  return isThisMachine(url.hostname) ? callDirectly(url, call) : callAnywhere(url, call);
}

function callAnywhere(url: URL, { body, ...call }: HttpCall): Promise<Response> {
  if (body === undefined || typeof body === 'string')
    return fetch(url, { ...call, ...(body !== undefined && { body }) });
  // Node requires `duplex` for a stream; the types of `fetch` do not know it.
  const streamed: RequestInit & { duplex: 'half' } = {
    ...call,
    body: Readable.toWeb(Readable.from(body)),
    duplex: 'half',
  };
  return fetch(url, streamed);
}

/** Whether a host in a URL is loopback or one of this machine's addresses. @internal exported for tests. */
export function isThisMachine(host: string): boolean {
  const name = host.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (name === 'localhost' || name.endsWith('.localhost') || name === hostname().toLowerCase()) return true;
  if (/^127(\.\d{1,3}){3}$/.test(name) || name === '::1') return true;
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === name));
}

function callDirectly(url: URL, call: HttpCall): Promise<Response> {
  const { method = 'GET', headers = {}, body, signal, trustsThisMachine = false } = call;
  const tls = url.protocol === 'https:';
  const request = tls ? requestHttps : requestHttp;
  const options = { method, headers, agent: agents[tls ? 'https:' : 'http:'], ...(signal && { signal }) };
  const secured = { ...options, rejectUnauthorized: !trustsThisMachine };
  return new Promise((resolve, reject) => {
    const sent = request(url, secured, (message) => resolve(responseOf(message)))
      // As `fetch` does, with the reason as the cause.
      .on('error', (error) => reject(new TypeError('the request failed', { cause: signal?.reason ?? error })));
    if (body === undefined || typeof body === 'string') sent.end(body);
    // An answer that comes before all pieces are sent is the answer; what then breaks does not matter.
    else pipeline(Readable.from(body), sent).catch(reject);
  });
}

/** Statuses whose responses have no body. */
const BODILESS = [204, 205, 304];

function responseOf(message: IncomingMessage): Response {
  const { statusCode: status = 500, statusMessage: statusText = '' } = message;
  const headers = Object.entries(message.headersDistinct).flatMap(([name, values]) =>
    (values ?? []).map((value): [string, string] => [name, value]),
  );
  if (BODILESS.includes(status)) message.resume();
  const body = BODILESS.includes(status) ? null : (Readable.toWeb(message) as ReadableStream<Uint8Array>);
  return new Response(body, { status, statusText, headers });
}
