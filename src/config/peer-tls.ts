import type { Values } from './options.js';
import { readSecretFile } from './secret-file.js';
import { WrongUsage } from './wrong-usage.js';

/** What this process shows its peers over TCP, and by what it knows them; all PEM. The key is never logged. */
export interface PeerTlsConfig {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

/** Null where TLS is not wanted. @throws WrongUsage if only some of the files are given, or one cannot be read */
export function peerTls(values: Pick<Values, 'peerTlsKey' | 'peerTlsCert' | 'peerTlsCa'>): PeerTlsConfig | null {
  const files = [
    ['--peer-tls-key (SHOAL_PEER_TLS_KEY)', values.peerTlsKey],
    ['--peer-tls-cert (SHOAL_PEER_TLS_CERT)', values.peerTlsCert],
    ['--peer-tls-ca (SHOAL_PEER_TLS_CA)', values.peerTlsCa],
  ] as const;
  if (files.every(([, path]) => path === null)) return null;
  const [key, cert, ca] = files.map(([name, path]) => {
    if (path === null)
      throw new WrongUsage(`${name} is missing: TLS between peers needs a key, a certificate and an authority.`);
    return readSecretFile(name, path);
  });
  return { key: key!, cert: cert!, ca: ca! };
}
