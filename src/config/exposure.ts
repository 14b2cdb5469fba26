import type { Values } from './options.js';
import { WrongUsage } from './wrong-usage.js';

/** Whether others than this machine can reach the HTTP API. */

/** Whether an address is reachable only from this machine. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/**
 * Refuses an API that others can reach and that needs no key, unless `--insecure` allows it.
 * @param needsKey whether clients need an API key
 * @throws WrongUsage
 */
export function checkExposure(
  { host, publishedHost, insecure }: Pick<Values, 'host' | 'publishedHost' | 'insecure'>,
  needsKey: boolean,
): void {
  const reached = publishedHost ?? host;
  if (needsKey || insecure || isLoopback(reached)) return;
  const name = publishedHost === null ? '--host (SHOAL_HOST)' : '--published-host (SHOAL_PUBLISHED_HOST)';
  throw new WrongUsage(
    `${name}: must be a loopback address without API keys, got ${reached}; set SHOAL_API_KEYS or --keys-file, or open the fleet to everyone with --insecure (SHOAL_INSECURE=1)`,
  );
}
