import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { Clock, Timer } from '../../src/clock.js';
import type { TlsFiles } from '../../src/config/http-config.js';
import { Refused } from '../../src/errors.js';
import type { Log } from '../../src/log.js';
import type { TlsContext } from './listener.js';

/** The key and the certificates of the HTTP API, from their files. */

/** How often the files are read again. */
const LOOK_INTERVAL_MS = 5_000;

const KEY = '--tls-key (SHOAL_TLS_KEY)';
const CERT = '--tls-cert (SHOAL_TLS_CERT)';
const CLIENT_CA = '--tls-client-ca (SHOAL_TLS_CLIENT_CA)';

/**
 * Reads and checks the files. OpenSSL skips a part that it cannot read and, without any authority, trusts those of the system, so each file must
 * prove to hold what its option promises.
 * @throws Refused if a file cannot be read or parsed, or if the key does not fit the certificate
 */
export async function readCertificates(files: TlsFiles): Promise<TlsContext> {
  const [key, cert, clientCa] = await Promise.all([
    read(KEY, files.key),
    read(CERT, files.cert),
    files.clientCa === null ? null : read(CLIENT_CA, files.clientCa),
  ]);
  const [own] = certificatesIn(CERT, files.cert, cert);
  if (files.clientCa !== null) certificatesIn(CLIENT_CA, files.clientCa, clientCa ?? '');
  const misfit = `${CERT}: cannot use ${files.cert} with the key ${files.key}`;
  if (!own.checkPrivateKey(privateKeyIn(files.key, key))) {
    throw new Refused(`${misfit}: the first certificate is not that of the key`);
  }
  try {
    createSecureContext({ key, cert, ...(clientCa === null ? {} : { ca: clientCa }) });
  } catch (error) {
    throw new Refused(`${misfit}: ${messageOf(error)}`);
  }
  return { key, cert, clientCa };
}

/** Gives the certificates to a server again when their files have changed. Files that do not fit each other, or are half written, change nothing. */
export class CertificateKeeper {
  private timer: Timer | null = null;
  private looking = false;
  private complaint = '';

  /** @param current what the server uses now */
  constructor(
    private readonly files: TlsFiles,
    private current: TlsContext,
    private readonly renew: (tls: TlsContext) => void,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  start(): void {
    this.timer = this.clock.every(LOOK_INTERVAL_MS, () => void this.look());
  }

  stop(): void {
    this.timer?.cancel();
  }

  /** One look at a time: a file system that hangs must not gather them. */
  private async look(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    try {
      const found = await readCertificates(this.files);
      this.complaint = '';
      const { key, cert, clientCa } = this.current;
      if (found.key === key && found.cert === cert && found.clientCa === clientCa) return;
      this.renew(found);
      this.current = found;
      this.log.info({ cert: this.files.cert }, 'new connections get the new certificate');
    } catch (error) {
      const message = messageOf(error);
      if (message !== this.complaint) this.log.warn({}, `the certificate stays as it was: ${message}`);
      this.complaint = message;
    } finally {
      this.looking = false;
    }
  }
}

async function read(name: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new Refused(`${name}: cannot read ${path}: ${messageOf(error)}`);
  }
}

const CERTIFICATE_BEGINS = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/g;
const CERTIFICATE = /-----BEGIN ((?:TRUSTED |X509 )?CERTIFICATE)-----[^-]*-----END \1-----/g;

/** All certificates of a file, of which it has at least one. */
function certificatesIn(name: string, path: string, pem: string): [X509Certificate, ...X509Certificate[]] {
  const blocks = pem.match(CERTIFICATE) ?? [];
  const [first, ...others] = blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new Refused(`${name}: cannot use ${path}: certificate ${index + 1} cannot be parsed: ${messageOf(error)}`);
    }
  });
  if (first === undefined) throw new Refused(`${name}: cannot use ${path}: must have at least one certificate in PEM`);
  if (blocks.length !== pem.match(CERTIFICATE_BEGINS)?.length) {
    throw new Refused(`${name}: cannot use ${path}: a certificate is cut off`);
  }
  return [first, ...others];
}

function privateKeyIn(path: string, pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw new Refused(
      `${KEY}: cannot use ${path}: must have a private key in PEM, without a passphrase: ${messageOf(error)}`,
    );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
