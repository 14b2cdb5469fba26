import type { Clock, Timer } from '../../src/clock.js';
import type { TlsFiles } from '../../src/config/http-config.js';
import { Refused } from '../../src/errors.js';
import type { Log } from '../../src/log.js';
import { readRegularFile } from '../../src/regular-file.js';
import { checkTlsPems, type TlsPems } from '../../src/tls-files.js';
import type { TlsContext } from './listener.js';

/** The key and the certificates of the HTTP API, from their files. */

/** How often the files are read again. */
const LOOK_INTERVAL_MS = 5_000;
/** Authorities of a whole system, with room to spare. */
const PEM_FILE_BYTES = 4 * 2 ** 20;

const KEY = '--tls-key (SHOAL_TLS_KEY)';
const CERT = '--tls-cert (SHOAL_TLS_CERT)';
const CLIENT_CA = '--tls-client-ca (SHOAL_TLS_CLIENT_CA)';

/**
 * Reads and checks the files.
 * @throws Refused if a file cannot be read or parsed, or if the key does not fit the certificate
 */
export async function readCertificates(files: TlsFiles): Promise<TlsContext> {
  const [key, cert, clientCa] = await Promise.all([
    read(KEY, files.key),
    read(CERT, files.cert),
    files.clientCa === null ? null : read(CLIENT_CA, files.clientCa),
  ]);
  const tls = { key, cert, clientCa };
  checkTlsPems(pemsOf(files, tls));
  return tls;
}

/** The certificates that a server uses, with their files. */
function pemsOf(files: TlsFiles, { key, cert, clientCa }: TlsContext): TlsPems {
  return {
    key: { option: KEY, path: files.key, pem: key },
    cert: { option: CERT, path: files.cert, pem: cert },
    ca: clientCa === null ? null : { option: CLIENT_CA, path: files.clientCa ?? '', pem: clientCa },
  };
}

/** Gives the certificates to a server again when their files have changed. Files that do not fit each other, or are half written, change nothing. */
export class CertificateKeeper {
  private timer: Timer | null = null;
  private looking: Promise<string | null> | null = null;
  private complaint = '';

  /** @param current the certificates that the server uses now */
  constructor(
    private readonly files: TlsFiles,
    private current: TlsContext,
    private readonly renew: (tls: TlsContext) => void,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /** The certificates that the server uses now. */
  get pems(): TlsPems {
    return pemsOf(this.files, this.current);
  }

  start(): void {
    this.timer = this.clock.every(LOOK_INTERVAL_MS, () => void this.look());
  }

  stop(): void {
    this.timer?.cancel();
  }

  /**
   * Reads the files now. Resolves with the reason why the certificate stays as it was; null if there is none. One look at a time: a file system that
   * hangs must not gather them.
   */
  look(): Promise<string | null> {
    this.looking ??= this.take().finally(() => {
      this.looking = null;
    });
    return this.looking;
  }

  private async take(): Promise<string | null> {
    try {
      const found = await readCertificates(this.files);
      this.complaint = '';
      const { key, cert, clientCa } = this.current;
      if (found.key === key && found.cert === cert && found.clientCa === clientCa) return null;
      this.renew(found);
      this.current = found;
      this.log.info({ cert: this.files.cert }, 'new connections get the new certificate');
      return null;
    } catch (error) {
      const message = messageOf(error);
      if (message !== this.complaint) this.log.warn({}, `the certificate stays as it was: ${message}`);
      this.complaint = message;
      return message;
    }
  }
}

async function read(name: string, path: string): Promise<string> {
  try {
    return await readRegularFile(path, PEM_FILE_BYTES);
  } catch (error) {
    throw new Refused(`${name}: cannot read ${path}: ${messageOf(error)}`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
