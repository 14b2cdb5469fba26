import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { Refused } from './errors.js';

/**
 * Checks files for TLS. OpenSSL skips a part that it cannot read and, without any authority, trusts the system's, so each file must prove to
 * hold the contents that its option requires.
 */

/** A file that was read. */
export interface PemFile {
  /** The option that names it. */
  readonly option: string;
  readonly path: string;
  readonly pem: string;
}

/** The key and certificate of a process, and the authorities that it trusts. */
export interface TlsPems {
  readonly key: PemFile;
  readonly cert: PemFile;
  /** Null: the other side needs no certificate. */
  readonly ca: PemFile | null;
}

/** @throws Refused if a file lacks its key or certificate, or if the key does not fit the certificate */
export function checkTlsPems({ key, cert, ca }: TlsPems): void {
  const [own] = certificatesIn(cert);
  if (ca !== null) certificatesIn(ca);
  const misfit = `${cert.option}: cannot use ${cert.path} with the key ${key.path}`;
  if (!own.checkPrivateKey(privateKeyIn(key))) {
    throw new Refused(`${misfit}: the first certificate does not belong to the key`);
  }
  try {
    createSecureContext({ key: key.pem, cert: cert.pem, ...(ca === null ? {} : { ca: ca.pem }) });
  } catch (error) {
    throw new Refused(`${misfit}: ${messageOf(error)}`);
  }
}

const CERTIFICATE_BEGINS = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/g;
const CERTIFICATE = /-----BEGIN ((?:TRUSTED |X509 )?CERTIFICATE)-----[^-]*-----END \1-----/g;

/** All certificates of a file, at least one. @throws Refused */
export function certificatesIn({ option, path, pem }: PemFile): [X509Certificate, ...X509Certificate[]] {
  const blocks = pem.match(CERTIFICATE) ?? [];
  const [first, ...others] = blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new Refused(
        `${option}: cannot use ${path}: certificate ${index + 1} cannot be parsed: ${messageOf(error)}`,
      );
    }
  });
  if (first === undefined)
    throw new Refused(`${option}: cannot use ${path}: must have at least one certificate in PEM`);
  if (blocks.length !== pem.match(CERTIFICATE_BEGINS)?.length) {
    throw new Refused(`${option}: cannot use ${path}: a certificate is cut off`);
  }
  return [first, ...others];
}

function privateKeyIn({ option, path, pem }: PemFile): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw new Refused(
      `${option}: cannot use ${path}: must have a private key in PEM, without a passphrase: ${messageOf(error)}`,
    );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
