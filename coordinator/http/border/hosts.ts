import { isIP } from 'node:net';
import { hostName, isLoopbackName, normalizedName } from '../../../src/host-name.js';
import { ApiError } from '../../openai/api-error.js';

/** The host names under which clients may reach the API, so that no name of a stranger leads a browser to it (DNS rebinding). */

/** Addresses that mean all addresses of a machine. */
const UNSPECIFIED = ['0.0.0.0', '::'];

export interface HostOptions {
  /** The address on which the server listens. */
  readonly bound: string;
  /** The name of this machine. */
  readonly machine: string;
  /** Further names: exact, `*.example.com` for all names below one, or `*` for every name. */
  readonly allowed: readonly string[];
}

/**
 * Loopback names and the bound address are always allowed. A server that listens on all addresses also allows every IP address, because a page
 * cannot make a browser send an address that the browser did not connect to, and the name of its machine.
 */
export class Hosts {
  private readonly names: ReadonlySet<string>;
  private readonly suffixes: readonly string[];
  private readonly all: boolean;
  private readonly anyAddress: boolean;

  constructor({ bound, machine, allowed }: HostOptions) {
    this.anyAddress = UNSPECIFIED.includes(bound);
    const own = this.anyAddress ? machine : bound;
    const names = allowed.map(normalizedName);
    this.names = new Set([normalizedName(own), ...names]);
    this.suffixes = names.filter((name) => name.startsWith('*.')).map((name) => name.slice(1));
    this.all = names.includes('*');
  }

  /**
   * Checks the values of the `host` headers of a request, and the target of its request line.
   * @param addresses `any` also allows IP addresses that the server is not bound to
   * @throws ApiError 400 unless there is exactly one valid host, 403 if it is not allowed
   */
  check(hosts: readonly string[], target: string, addresses: 'own' | 'any' = 'own'): void {
    const [host, ...more] = hosts;
    if (host === undefined) throw malformed('is missing');
    if (more.length > 0) throw malformed(`is sent ${hosts.length} times`);
    const name = hostName(host);
    if (name === null) throw malformed('is not a host name or an address, with or without a port');
    if (!target.startsWith('/') && target !== '*' && authorityOf(target) !== host.toLowerCase())
      throw malformed('differs from the host of the request target');
    if (this.allows(name) || (addresses === 'any' && isIP(name) !== 0)) return;
    throw new ApiError(
      403,
      `host: ${name.slice(0, 100)} is not a name of this coordinator; call it by one of its names, or add the name to --allowed-hosts (SHOAL_ALLOWED_HOSTS)`,
      { code: 'host_not_allowed' },
    );
  }

  /** Whether a host name, without a port, is allowed. */
  allows(name: string): boolean {
    return (
      this.all ||
      isLoopbackName(name) ||
      this.names.has(name) ||
      (this.anyAddress && isIP(name) !== 0) ||
      this.suffixes.some((suffix) => name.endsWith(suffix))
    );
  }
}

function authorityOf(target: string): string | null {
  return /^https?:\/\/([^/?#]*)/i.exec(target)?.[1]?.toLowerCase() ?? null;
}

function malformed(problem: string): ApiError {
  return new ApiError(400, `host: ${problem}; send exactly one host header`, { code: 'invalid_host' });
}
