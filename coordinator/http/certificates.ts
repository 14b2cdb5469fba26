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

/** Reads the files. @throws Refused if one cannot be read, or if the key does not fit the certificate */
export async function readCertificates(files: TlsFiles): Promise<TlsContext> {
  const [key, cert, clientCa] = await Promise.all([
    read('--tls-key (SHOAL_TLS_KEY)', files.key),
    read('--tls-cert (SHOAL_TLS_CERT)', files.cert),
    files.clientCa === null ? null : read('--tls-client-ca (SHOAL_TLS_CLIENT_CA)', files.clientCa),
  ]);
  try {
    createSecureContext({ key, cert, ...(clientCa === null ? {} : { ca: clientCa }) });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const authority = files.clientCa === null ? '' : ` with ${files.clientCa}`;
    throw new Refused(
      `--tls-cert (SHOAL_TLS_CERT): cannot use ${files.cert} with the key ${files.key}${authority}: ${why}; both must be PEM and fit each other`,
    );
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
      const message = error instanceof Error ? error.message : String(error);
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
    throw new Refused(`${name}: cannot read ${path}: ${error instanceof Error ? error.message : error}`);
  }
}
