import type { Machine } from './machine.js';
import type { Values } from './options.js';
import { WrongUsage } from './wrong-usage.js';

/** The files of a TLS server. */
export interface TlsFiles {
  readonly key: string;
  readonly cert: string;
  /** Authority of client certificates; null if clients need none. */
  readonly clientCa: string | null;
}

/** The access rules and limits of the HTTP API. */
export interface HttpConfig {
  /** Names besides loopback names and the address on which the API listens. */
  readonly allowedHosts: readonly string[];
  /** Origins of pages. */
  readonly allowedOrigins: readonly string[];
  /** Memory for all request bodies together. */
  readonly bodyBudgetBytes: number;
  /** Null for plain HTTP. */
  readonly tls: TlsFiles | null;
  /** A Unix socket in addition to the port; null for none. */
  readonly socketPath: string | null;
  /** Time that running answers have to end when the coordinator stops. */
  readonly shutdownMs: number;
}

const LEAST_BODY_BUDGET_BYTES = 64 * 2 ** 20;
const MOST_BODY_BUDGET_BYTES = 2 ** 30;
const BODY_BUDGET_SHARE = 1 / 8;

/** @throws WrongUsage if only some of the files for TLS are given, or a Unix socket with client certificates */
export function httpConfig(values: Values, machine: Machine): HttpConfig {
  return {
    allowedHosts: values.allowedHosts ?? [],
    allowedOrigins: values.allowedOrigins ?? [],
    bodyBudgetBytes: values.bodyBudget ?? defaultBodyBudget(machine),
    tls: tlsFiles(values),
    socketPath: socketPath(values),
    shutdownMs: values.shutdownTimeout,
  };
}

/** @throws WrongUsage if clients must present certificates, which is impossible on a Unix socket */
function socketPath({ uds, tlsClientCa }: Values): string | null {
  if (uds !== null && tlsClientCa !== null)
    throw new WrongUsage(
      '--uds (SHOAL_UDS): must not be set with --tls-client-ca, as its clients have no certificates',
    );
  return uds;
}

function defaultBodyBudget({ availableBytes }: Machine): number {
  const share = Math.floor(availableBytes * BODY_BUDGET_SHARE);
  return Math.max(LEAST_BODY_BUDGET_BYTES, Math.min(share, MOST_BODY_BUDGET_BYTES));
}

/** Null for plain HTTP. @throws WrongUsage if only some are given */
export function tlsFiles({
  tlsKey,
  tlsCert,
  tlsClientCa,
}: Pick<Values, 'tlsKey' | 'tlsCert' | 'tlsClientCa'>): TlsFiles | null {
  if (tlsKey === null && tlsCert === null && tlsClientCa === null) return null;
  if (tlsKey === null)
    throw new WrongUsage('--tls-key (SHOAL_TLS_KEY): must be set, as TLS needs a key and a certificate');
  if (tlsCert === null)
    throw new WrongUsage('--tls-cert (SHOAL_TLS_CERT): must be set, as TLS needs a key and a certificate');
  return { key: tlsKey, cert: tlsCert, clientCa: tlsClientCa };
}
