import { once } from 'node:events';
import { Agent, type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps, Agent as TlsAgent } from 'node:https';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { orAbort } from '../async/abort.js';
import type { Clock } from '../clock.js';
import type { EnvironmentVariables } from '../config/read-options.js';
import { Cancelled, Refused, ShoalError } from '../errors.js';
import { decodedBody } from './content-encoding.js';
import { proxyFor } from './proxy.js';
import { HubUnavailable } from './retry.js';
import { Stall } from './stall.js';

/** GET requests to the hub and to where it redirects them, through a proxy if the environment names one. */

export interface HubAnswer {
  readonly status: number;
  /** The host of the last answer, with its port: the endpoint's, or where that redirected to. */
  readonly host: string;
  /** Of the last answer; the hub's own, `x-...`, also of the first one, which may be a redirect. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The body, without a `content-encoding`. Ends with an error if it is cut or stalls. Must be read, or discarded. */
  readonly body: AsyncIterable<Uint8Array>;
  discard(): void;
}

export interface HubHttpOptions {
  readonly endpoint: string;
  readonly token: string | null;
  readonly environment: EnvironmentVariables;
  readonly clock: Clock;
  readonly userAgent: string;
}

const REDIRECTS = 5;
/** Silence after which a connection is given up. */
const STALL_MS = 30_000;

export class HubHttp {
  /** Node's global agents may have a proxy of their own, by `NODE_USE_ENV_PROXY`. */
  private readonly agents = { 'http:': new Agent(), 'https:': new TlsAgent() } as const;

  constructor(private readonly options: HubHttpOptions) {}

  /**
   * Sends a request and follows redirects. The token goes to the endpoint alone: a redirect names a store, which has a signature in its URL.
   * @param headers such as `range`
   * @throws HubUnavailable without an answer, Refused after too many redirects, Cancelled if `signal` aborts
   */
  async get(url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<HubAnswer> {
    const kept: Record<string, string | string[] | undefined> = {};
    let at = url;
    for (let hops = 0; hops <= REDIRECTS; hops++) {
      const stall = new Stall(this.options.clock, STALL_MS, signal);
      try {
        const message = await this.send(at, headers, stall.signal);
        for (const [name, value] of Object.entries(message.headers)) if (name.startsWith('x-')) kept[name] ??= value;
        const next = redirectOf(message, at);
        if (next === null) {
          const { statusCode: status = 500 } = message;
          const { host } = at;
          const body = decodedBody(bodyOf(message, stall, host), message.headers['content-encoding'], host);
          const headers = { ...message.headers, ...kept };
          return { status, host, headers, body, discard: () => discard(message, stall) };
        }
        discard(message, stall);
        if (at.protocol === 'https:' && next.protocol !== 'https:') {
          throw new Refused(`cannot follow ${at.origin} to ${next.origin}: it leaves TLS; check HF_ENDPOINT`);
        }
        at = next;
      } catch (error) {
        stall.end();
        throw unreachable(stall.reason(error), at.host, signal);
      }
    }
    throw new Refused(`cannot load ${url.href}: more than ${REDIRECTS} redirects; check HF_ENDPOINT`);
  }

  private async send(
    url: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const { endpoint, token, environment, userAgent } = this.options;
    const isHub = url.origin === new URL(endpoint).origin;
    const all = {
      'user-agent': userAgent,
      'accept-encoding': 'identity',
      ...headers,
      ...(isHub && token !== null ? { authorization: `Bearer ${token}` } : {}),
    };
    const proxy = proxyFor(url, environment);
    if (proxy === null) return answerTo(this.directly(url, all, signal));
    if (url.protocol === 'https:') return answerTo(await this.throughTunnel(url, all, proxy, signal));
    const path = url.href;
    return answerTo(this.directly(proxy, { ...all, host: url.host, ...proxyLogin(proxy) }, signal, path));
  }

  private directly(url: URL, headers: Record<string, string>, signal: AbortSignal, path?: string): ClientRequest {
    const options = { headers, signal, ...(path === undefined ? {} : { path }) };
    return url.protocol === 'https:'
      ? requestHttps(url, { ...options, agent: this.agents['https:'] })
      : requestHttp(url, { ...options, agent: this.agents['http:'] });
  }

  /** TLS to the host through a tunnel of the proxy, which sees the host's name alone. */
  private async throughTunnel(
    url: URL,
    headers: Record<string, string>,
    proxy: URL,
    signal: AbortSignal,
  ): Promise<ClientRequest> {
    const authority = `${url.hostname}:${url.port || 443}`;
    const headersOfProxy = { host: authority, ...proxyLogin(proxy) };
    const options = { method: 'CONNECT', path: authority, headers: headersOfProxy, signal };
    const connecting =
      proxy.protocol === 'https:'
        ? requestHttps(proxy, { ...options, agent: this.agents['https:'] })
        : requestHttp(proxy, { ...options, agent: this.agents['http:'] });
    connecting.end();
    const refused = once(connecting, 'response').then(([message]) => message as IncomingMessage);
    refused.catch(() => {});
    const [message, socket] = (await Promise.race([
      once(connecting, 'connect'),
      refused.then((answer) => [answer, answer.socket]),
    ])) as [IncomingMessage, Socket];
    if (message.statusCode !== 200) {
      socket.destroy();
      throw new Refused(
        `cannot reach ${url.host}: the proxy ${proxy.host} answered with HTTP status ${message.statusCode}; check HTTPS_PROXY and NO_PROXY`,
      );
    }
    const servername = url.hostname;
    return requestHttps(url, {
      headers,
      signal,
      agent: false,
      createConnection: () => connectTls({ socket, servername }),
    });
  }
}

function proxyLogin({ username, password }: URL): Record<string, string> {
  if (username === '') return {};
  const login = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64');
  return { 'proxy-authorization': `Basic ${login}` };
}

async function answerTo(request: ClientRequest): Promise<IncomingMessage> {
  request.end();
  const [message] = (await once(request, 'response')) as [IncomingMessage];
  // Once the response is there, its own stream reports errors; the request's would be unheard.
  request.on('error', () => {});
  return message;
}

function redirectOf({ statusCode = 0, headers }: IncomingMessage, from: URL): URL | null {
  const { location } = headers;
  if (![301, 302, 303, 307, 308].includes(statusCode) || location === undefined) return null;
  if (!URL.canParse(location, from.href)) return null;
  const to = new URL(location, from);
  return to.protocol === 'http:' || to.protocol === 'https:' ? to : null;
}

async function* bodyOf(message: IncomingMessage, stall: Stall, host: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of message) {
      stall.heard();
      yield chunk as Uint8Array;
    }
    if (!message.complete) throw new Error('the connection was closed in the middle');
  } catch (error) {
    throw unreachable(stall.reason(error), host, stall.outer);
  } finally {
    discard(message, stall);
  }
}

function discard(message: IncomingMessage, stall: Stall): void {
  stall.end();
  message.on('error', () => {}).destroy();
}

/** The error of a connection, as one that a later attempt may not have. */
function unreachable(cause: unknown, host: string, signal: AbortSignal): unknown {
  if (signal.aborted)
    return signal.reason instanceof ShoalError ? signal.reason : new Cancelled('the download was stopped');
  if (cause instanceof ShoalError || !(cause instanceof Error)) return cause;
  if (cause.name === 'WrongUsage') return cause;
  const { code } = cause as NodeJS.ErrnoException;
  const text = `${code === undefined || cause.message.includes(code) ? '' : `${code} `}${cause.message}` || cause.name;
  return new HubUnavailable(`cannot reach ${host}: ${text}; check the network, HF_ENDPOINT and the proxy`, null, {
    cause,
  });
}

/** Reads a whole body of JSON. @throws Refused if it is larger than `maxBytes`, HubUnavailable if it is cut or no JSON */
export async function readJsonBody({ body }: HubAnswer, maxBytes: number, from: string): Promise<unknown> {
  const parts: Uint8Array[] = [];
  let byteLength = 0;
  for await (const part of body) {
    byteLength += part.byteLength;
    if (byteLength > maxBytes)
      throw new Refused(`cannot read the answer of ${from}: it has more than ${maxBytes} bytes; check HF_ENDPOINT`);
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString('utf8'));
  } catch (cause) {
    throw new HubUnavailable(
      `cannot read the answer of ${from}: it is not JSON; check HF_ENDPOINT and the proxy`,
      null,
      { cause },
    );
  }
}

/** Waits, unless `signal` aborts first. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  let timer = { cancel: () => {} };
  const over = new Promise<void>((resolve) => {
    timer = clock.after(ms, resolve);
  });
  return orAbort(over, signal).finally(() => timer.cancel());
}
