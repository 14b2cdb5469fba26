import { hostname } from 'node:os';
import { Border } from './border/border.js';
import type { TlsContext } from './listener.js';

/** The addresses on which the HTTP server listens, and the accepted names and origins. */
export interface HttpListenOptions {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  /** A Unix socket in addition to the port. Default: none. */
  readonly socketPath?: string | null;
  readonly bodyLimitBytes?: number;
  readonly bodyBudgetBytes?: number;
  readonly maxConnections?: number;
  /** Host names under which clients may call the API, besides loopback names and `host`. See `Hosts`. */
  readonly allowedHosts?: readonly string[];
  /** Origins of pages that may call the API. See `Origins`. */
  readonly allowedOrigins?: readonly string[];
  /** Null for plain HTTP. */
  readonly tls?: TlsContext | null;
  /** Time that running answers get to finish once the server closes. */
  readonly closeGraceMs: number;
  /** A client that reads nothing of its answer for this long is disconnected. */
  readonly stallTimeoutMs?: number;
}

export function borderOf(options: HttpListenOptions, bodyLimitBytes: number): Border {
  const { host, allowedHosts = [], allowedOrigins = [], tls = null } = options;
  return new Border({
    ...{ bound: host, machine: hostname(), allowed: allowedHosts, origins: allowedOrigins, bodyLimitBytes },
    tls: tls !== null,
    clientCertificates: tls !== null && tls.clientCa !== null,
  });
}
