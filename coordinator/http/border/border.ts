import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { ApiError } from '../../openai/api-error.js';
import { tooLarge } from '../body.js';
import { checkMediaType } from '../json-body.js';
import type { HttpRoute } from '../route.js';
import { securityHeaders } from '../security-headers.js';
import { type HostOptions, Hosts } from './hosts.js';
import { Origins, type PageHeaders } from './origins.js';

/** The checks on the head of a request, before its body is read: its caller, its host name, its page. */

export interface BorderOptions extends HostOptions {
  /** Origins of pages that may call the API. */
  readonly origins: readonly string[];
  /** Limit on one body. */
  readonly bodyLimitBytes: number;
  readonly tls: boolean;
  /** Whether clients must have a certificate. */
  readonly clientCertificates: boolean;
}

export class Border {
  private readonly hosts: Hosts;
  private readonly origins: Origins;
  private readonly common: Readonly<Record<string, string>>;

  constructor(private readonly options: BorderOptions) {
    this.hosts = new Hosts(options);
    this.origins = new Origins(options.origins, options.tls);
    this.common = securityHeaders(options.tls);
  }

  /** Headers of every answer to a request, including errors. */
  answerHeaders({ headers }: IncomingMessage): Readonly<Record<string, string>> {
    return { ...this.common, ...this.origins.headers(headers.origin ?? null) };
  }

  /** Throws a 403 without the certificate that clients need, and as `Hosts.check` does. */
  checkClient(request: IncomingMessage): void {
    if (this.options.clientCertificates && !(request.socket as TLSSocket).authorized) {
      throw new ApiError(403, 'the connection has no client certificate of the authority in --tls-client-ca', {
        code: 'client_certificate_required',
      });
    }
    this.checkHost(request, 'own');
  }

  /** Checks a request for health: probes need no certificate, may call any IP address, and have no body. */
  checkProbe(request: IncomingMessage, route: HttpRoute): void {
    this.checkHost(request, 'any');
    this.checkBody(request, route);
  }

  private checkHost(request: IncomingMessage, addresses: 'own' | 'any'): void {
    const { headersDistinct, httpVersionMinor, httpVersionMajor, url } = request;
    const hosts = headersDistinct.host ?? [];
    // HTTP/1.0 has no such header. Browsers always send it.
    if (hosts.length === 0 && httpVersionMajor === 1 && httpVersionMinor === 0) return;
    this.hosts.check(hosts, url ?? '/', addresses);
  }

  /** Throws a 403 if a page sends the request that may not call this route. */
  checkPage(request: IncomingMessage, { pages }: HttpRoute): void {
    if (pages === 'linked' && isFollowedLink(request)) return;
    this.origins.check(pageOf(request), pages === 'allowed');
  }

  /** Throws a 413 or 415 if the head announces a body that is refused. A route that needs no key takes none: strangers send those. */
  checkBody({ headers, method }: IncomingMessage, { access, uploadBytes }: HttpRoute): void {
    const length = Number(headers['content-length'] ?? 0);
    if (access === 'open') {
      if (length > 0 || headers['transfer-encoding'] !== undefined) throw noBody();
      return;
    }
    if (uploadBytes !== undefined) {
      if (length > uploadBytes) throw tooLarge(uploadBytes);
      return;
    }
    if (method === 'POST' || length > 0 || headers['transfer-encoding'] !== undefined) checkMediaType(headers);
    if (length > this.options.bodyLimitBytes) throw tooLarge(this.options.bodyLimitBytes);
  }

  /** The headers that answer a preflight for a path; null if the request is none. Throws a 403 if its page may not call the path. */
  preflight(
    request: IncomingMessage,
    { methods, pages }: { readonly methods: readonly string[]; readonly pages: HttpRoute['pages'] },
  ): Readonly<Record<string, string>> | null {
    const { headers, method } = request;
    const wanted = headers['access-control-request-method'];
    if (method !== 'OPTIONS' || headers.origin === undefined || wanted === undefined) return null;
    this.origins.check(pageOf(request), pages === 'allowed');
    return this.origins.preflightHeaders(methods, headers['access-control-request-headers'] ?? null);
  }
}

function noBody(): ApiError {
  return new ApiError(413, 'body: must be empty; this route takes no body', { code: 'body_not_allowed' });
}

/** Whether somebody followed a link, which shows the answer in a tab of its own: the page with the link neither reads nor frames it. */
function isFollowedLink({ headers, method }: IncomingMessage): boolean {
  const isTab = headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
  return method === 'GET' && isTab && headers.origin === undefined;
}

function pageOf({ headers }: IncomingMessage): PageHeaders {
  const site = headers['sec-fetch-site'];
  return {
    origin: headers.origin ?? null,
    site: typeof site === 'string' ? site : null,
    host: headers.host ?? null,
  };
}
