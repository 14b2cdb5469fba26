import type { EnvironmentVariables } from '../config/read-options.js';
import { WrongUsage } from '../config/wrong-usage.js';

/**
 * The proxy for a URL by the variables that curl, Python and Node know: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, and `NO_PROXY` with hosts
 * that are reached directly. Small letters win. Null for none.
 * @throws WrongUsage for a proxy that speaks something else than HTTP
 */
export function proxyFor(url: URL, environment: EnvironmentVariables): URL | null {
  const named = (name: string) => environment[name.toLowerCase()] || environment[name] || null;
  const variable = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const text = named(variable) ?? named('ALL_PROXY');
  if (text === null || isExempt(url, named('NO_PROXY') ?? '')) return null;
  const whole = text.includes('://') ? text : `http://${text}`;
  const proxy = URL.canParse(whole) ? new URL(whole) : null;
  if (proxy?.protocol === 'http:' || proxy?.protocol === 'https:') return proxy;
  // The text may contain a password.
  throw new WrongUsage(`${variable}: must be the URL of an HTTP proxy, which begins with http:// or https://`);
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
