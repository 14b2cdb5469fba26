import { Refused } from '../errors.js';
import { checkTlsPems, type PemFile, type TlsPems } from '../tls-files.js';
import type { Values } from './options.js';
import { readSecretFile } from './secret-file.js';
import { WrongUsage } from './wrong-usage.js';

/** Key, certificate and certificate authority for TLS between peers, as PEM text. The key is never logged. */
export interface PeerTlsConfig {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
  /** The same with the files that they come from. */
  readonly pems: TlsPems;
}

/** Reads and checks the three files; null if none is given. @throws WrongUsage if only some are given, or one cannot be read or used */
export function peerTls(values: Pick<Values, 'peerTlsKey' | 'peerTlsCert' | 'peerTlsCa'>): PeerTlsConfig | null {
  const files = [
    ['--peer-tls-key (SHOAL_PEER_TLS_KEY)', values.peerTlsKey],
    ['--peer-tls-cert (SHOAL_PEER_TLS_CERT)', values.peerTlsCert],
    ['--peer-tls-ca (SHOAL_PEER_TLS_CA)', values.peerTlsCa],
  ] as const;
  if (files.every(([, path]) => path === null)) return null;
  const [key, cert, ca] = files.map(([option, path]): PemFile => {
    if (path === null)
      throw new WrongUsage(`${option}: must be set, as TLS between peers needs a key, a certificate and an authority`);
    return { option, path, pem: readSecretFile(option, path) };
  }) as [PemFile, PemFile, PemFile];
  const pems = { key, cert, ca };
  try {
    checkTlsPems(pems);
  } catch (error) {
    if (error instanceof Refused) throw new WrongUsage(error.message);
    throw error;
  }
  return { key: key.pem, cert: cert.pem, ca: ca.pem, pems };
}
