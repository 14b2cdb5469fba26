import { ApiError } from '../../openai/api-error.js';

/** The pages that may call the API from a browser: the coordinator's own, and pages of allowed origins (CORS). */

/** The headers in which a browser names the page that sends a request. Other clients send no such header. */
export interface PageHeaders {
  readonly origin: string | null;
  /** `sec-fetch-site`. */
  readonly site: string | null;
  readonly host: string | null;
}

/** Headers of an answer that a page of another origin may read. */
const EXPOSED = [
  'x-request-id',
  'retry-after',
  ...['limit', 'remaining', 'reset'].flatMap((what) => [`x-ratelimit-${what}-requests`, `x-ratelimit-${what}-tokens`]),
].join(', ');
/** How long a browser remembers the answer to a preflight. */
const PREFLIGHT_S = 600;
const HEADER_NAMES = /^[\w-]+(?:\s*,\s*[\w-]+)*$/;

export class Origins {
  private readonly allowed: ReadonlySet<string>;

  /**
   * @param allowed exact origins such as `https://app.example.com`, or `*` for every page
   * @param tls whether the coordinator speaks TLS itself: then a page that came without TLS, which anybody on its way may have written, is not its own.
   * Without it, a proxy may have spoken TLS to the browser.
   */
  constructor(
    allowed: readonly string[],
    private readonly tls: boolean,
  ) {
    this.allowed = new Set(allowed);
  }

  /** Whether CORS allows this origin. */
  allows(origin: string | null): origin is string {
    return origin !== null && (this.allowed.has('*') || this.allowed.has(origin));
  }

  /** Throws a 403 if a page of another origin sends the request, unless `shared` and its origin is allowed. */
  check(page: PageHeaders, shared: boolean): void {
    if (this.isOwn(page) || (shared && this.allows(page.origin))) return;
    const from = page.origin === null ? 'a page of another site' : page.origin.slice(0, 100);
    const remedy = shared ? 'add its origin to --allowed-origins (SHOAL_ALLOWED_ORIGINS)' : 'call it outside a browser';
    throw new ApiError(403, `origin: ${from} may not send this request; ${remedy}`, { code: 'origin_not_allowed' });
  }

  /** Whether the request comes from no browser, from a page of the coordinator itself, or from a typed address. */
  private isOwn({ origin, site, host }: PageHeaders): boolean {
    if (origin !== null) return authorityOf(origin, this.tls) === host?.toLowerCase();
    return site === null || site === 'same-origin' || site === 'none';
  }

  /** The headers that let a page read the answer; none if its origin is not allowed. */
  headers(origin: string | null): Readonly<Record<string, string>> {
    if (this.allowed.size === 0) return {};
    if (!this.allows(origin)) return { vary: 'origin' };
    return {
      ...(this.allowed.has('*')
        ? { 'access-control-allow-origin': '*' }
        : { 'access-control-allow-origin': origin, vary: 'origin' }),
      'access-control-expose-headers': EXPOSED,
      'cross-origin-resource-policy': 'cross-origin',
    };
  }

  /** The further headers of the answer to a preflight. @param methods the route's methods */
  preflightHeaders(methods: readonly string[], requested: string | null): Readonly<Record<string, string>> {
    const known = requested !== null && requested.length <= 1024 && HEADER_NAMES.test(requested);
    return {
      'access-control-allow-methods': methods.join(', '),
      'access-control-allow-headers': known ? requested : 'authorization, content-type, x-request-id',
      'access-control-allow-private-network': 'true',
      'access-control-max-age': String(PREFLIGHT_S),
    };
  }
}

/** Host and port of an origin, as the `host` header has them. @param tls whether it must be that of a page that came over TLS */
function authorityOf(origin: string, tls: boolean): string | null {
  const [, scheme, authority] = /^(https?):\/\/([^/]+)$/i.exec(origin)?.map((part) => part.toLowerCase()) ?? [];
  return tls && scheme !== 'https' ? null : (authority ?? null);
}
