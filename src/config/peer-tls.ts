import type { Values } from './options.js';
import { readSecretFile } from './secret-file.js';
import { WrongUsage } from './wrong-usage.js';

/** Key, certificate and certificate authority for TLS between peers, as PEM text. The key is never logged. */
export interface PeerTlsConfig {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

/** Reads the three files; null if none is given. @throws WrongUsage if only some are given, or one cannot be read */
export function peerTls(values: Pick<Values, 'peerTlsKey' | 'peerTlsCert' | 'peerTlsCa'>): PeerTlsConfig | null {
  const files = [
    ['--peer-tls-key (SHOAL_PEER_TLS_KEY)', values.peerTlsKey],
    ['--peer-tls-cert (SHOAL_PEER_TLS_CERT)', values.peerTlsCert],
    ['--peer-tls-ca (SHOAL_PEER_TLS_CA)', values.peerTlsCa],
  ] as const;
  if (files.every(([, path]) => path === null)) return null;
  const [key, cert, ca] = files.map(([name, path]) => {
    if (path === null)
      throw new WrongUsage(`${name}: must be set, as TLS between peers needs a key, a certificate and an authority`);
    return readSecretFile(name, path);
  });
  return { key: key!, cert: cert!, ca: ca! };
}
