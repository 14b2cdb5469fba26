import { isIPv4 } from 'node:net';
import type { EnvironmentVariables } from '../config/read-options.js';
import { WrongUsage } from '../config/wrong-usage.js';

/**
 * The proxy for a URL by the variables that curl, Python and Node know: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, and `NO_PROXY` with hosts
 * that are reached directly. Small letters win. Null for none, and for this machine: a proxy elsewhere would mean itself by such a name, and would get in the
 * clear the token that is sent without TLS to this machine alone.
 * @throws WrongUsage for a proxy that speaks something else than HTTP
 */
export function proxyFor(url: URL, environment: EnvironmentVariables): URL | null {
  const given = (name: string) => [name.toLowerCase(), name].find((one) => environment[one]);
  const variable = given(url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY') ?? given('ALL_PROXY');
  const noProxy = given('NO_PROXY');
  if (variable === undefined || isThisMachine(url)) return null;
  if (noProxy !== undefined && isExempt(url, environment[noProxy]!)) return null;
  const text = environment[variable]!;
  const whole = text.includes('://') ? text : `http://${text}`;
  const proxy = URL.canParse(whole) ? new URL(whole) : null;
  if (proxy?.protocol === 'http:' || proxy?.protocol === 'https:') return proxy;
  // The text may contain a password.
  throw new WrongUsage(`${variable}: must be the URL of an HTTP proxy, which begins with http:// or https://`);
}

/** Whether a URL leads to this machine without a question to any name server. */
export function isThisMachine({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || (isIPv4(hostname) && hostname.startsWith('127.'));
}

/** An entry names a host, with all hosts below it, or a host and a port. */
function isExempt(url: URL, noProxy: string): boolean {
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  const host = withoutBrackets(url.hostname);
  return noProxy
    .split(/[\s,]+/)
    .map(exemption)
    .some(
      (exempt) =>
        exempt.host === '*' ||
        ((exempt.port ?? port) === port &&
          exempt.host !== '' &&
          (host === exempt.host || host.endsWith(`.${exempt.host}`))),
    );
}

function exemption(entry: string): { host: string; port: string | null } {
  const isBareV6 = (entry.match(/:/g)?.length ?? 0) > 1 && !entry.startsWith('[');
  const [, host = entry, port = null] = (isBareV6 ? null : /^(.*?):(\d+)$/.exec(entry)) ?? [];
  return {
    host:
      host === '*'
        ? host
        : withoutBrackets(host)
            .replace(/^\*?\./, '')
            .toLowerCase(),
    port,
  };
}

function withoutBrackets(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}
