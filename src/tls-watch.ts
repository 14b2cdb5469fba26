import { stat } from 'node:fs/promises';
import type { Clock, Timer } from './clock.js';
import type { Log } from './log.js';
import { certificatesIn, type PemFile, type TlsPems } from './tls-files.js';

/** Warns in time of what will end TLS, or weakens it: certificates that expire, and keys that everybody on the machine can read. */

const LOOK_INTERVAL_MS = 12 * 3_600_000;
/** Certificates are usually renewed a month before they expire, so later than that something is wrong. */
const WARN_BEFORE_DAYS = 14;
const DAY_MS = 24 * 3_600_000;

export class TlsWatch {
  private timer: Timer | null = null;

  /** @param current the files in use now */
  constructor(
    private readonly current: () => TlsPems,
    private readonly clock: Clock,
    private readonly wallMs: () => number,
    private readonly log: Log,
  ) {}

  async start(): Promise<void> {
    await this.look();
    this.timer = this.clock.every(LOOK_INTERVAL_MS, () => void this.look());
  }

  stop(): void {
    this.timer?.cancel();
  }

  private async look(): Promise<void> {
    const { key, cert, ca } = this.current();
    const concerns = [...[cert, ...(ca === null ? [] : [ca])].flatMap((file) => datesConcern(file, this.wallMs()))];
    if (await everybodyReads(key.path))
      concerns.push(`${key.option}: every user of this machine can read ${key.path}; chmod it to 600`);
    for (const concern of concerns) this.log.warn({}, concern);
  }
}

function datesConcern(file: PemFile, nowMs: number): string[] {
  return certificatesIn(file).flatMap(({ subject, validFrom, validTo }) => {
    const what = `${file.option}: the certificate of ${subject.replaceAll('\n', ', ')} in ${file.path}`;
    const leftMs = Date.parse(validTo) - nowMs;
    if (leftMs <= 0) return [`${what} expired on ${validTo}; replace it`];
    if (Date.parse(validFrom) > nowMs) return [`${what} is not valid before ${validFrom}; look at the clock`];
    if (leftMs >= WARN_BEFORE_DAYS * DAY_MS) return [];
    return [`${what} expires on ${validTo}, in ${Math.floor(leftMs / DAY_MS)} days; replace it`];
  });
}

const OTHERS_READ = 0o004;

/** False for a file that has been removed meanwhile. */
function everybodyReads(path: string): Promise<boolean> {
  if (process.platform === 'win32') return Promise.resolve(false);
  return stat(path).then(
    ({ mode }) => (mode & OTHERS_READ) !== 0,
    () => false,
  );
}
