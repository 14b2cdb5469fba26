import type { Clock } from '../../src/clock.js';
import { Unavailable } from '../../src/errors.js';
import type { Log } from '../../src/log.js';
import { PacedLog } from '../../src/paced-log.js';
import { readRegularFile } from '../../src/regular-file.js';
import { type KeySet, keySetOf } from './json-web-token.js';

/** The public keys of an identity provider, from a URL or a file, and their renewal. */

/** Age at which the keys are read again, while the old ones are still used. */
const KEY_SET_FRESH_MS = 600_000;
/** Age at which keys are not used any more: a key that the provider withdrew ends then at the latest. @internal exported for tests. */
export const KEY_SET_USABLE_MS = 3_600_000;
/** Least time between two readings, so that tokens with invented keys do not make a flood of them. @internal exported for tests. */
export const KEY_SET_PAUSE_MS = 10_000;
const READ_TIMEOUT_MS = 5_000;
const KEY_SET_BYTES = 2 ** 20;

export interface KeySetSourceOptions {
  /** An http(s) URL, or a path. */
  readonly source: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Reads the source. Default: over HTTP, or from the file. */
  readonly read?: (source: string) => Promise<string>;
}

export class KeySetSource {
  private keys: KeySet | null = null;
  private readMs = Number.NEGATIVE_INFINITY;
  private triedMs = Number.NEGATIVE_INFINITY;
  private fault = 'it was not read yet';
  private reading: Promise<void> | null = null;
  private readonly log: Log;

  constructor(private readonly options: KeySetSourceOptions) {
    this.log = new PacedLog(options.log, options.clock);
  }

  /** Reads the keys for the first time, without waiting for them. */
  start(): void {
    void this.renew();
  }

  stop(): void {}

  /** The present keys. @throws Unavailable if there are none, or only ones that are too old */
  async current(): Promise<KeySet> {
    const ageMs = this.options.clock.now() - this.readMs;
    if (ageMs >= KEY_SET_USABLE_MS) await this.renew();
    else if (ageMs >= KEY_SET_FRESH_MS) void this.renew();
    if (this.keys !== null && this.options.clock.now() - this.readMs < KEY_SET_USABLE_MS) return this.keys;
    throw new Unavailable(
      `cannot check tokens: no key set from ${nameOf(this.options.source)}: ${this.fault}; retry later`,
    );
  }

  /** The keys after a new reading, because the present ones lack a token's key. Null if there was a reading a moment ago. */
  async renewed(): Promise<KeySet | null> {
    const before = this.keys;
    await this.renew();
    return this.keys === before ? null : this.keys;
  }

  private renew(): Promise<void> {
    const nowMs = this.options.clock.now();
    if (this.reading === null && nowMs - this.triedMs < KEY_SET_PAUSE_MS) return Promise.resolve();
    this.triedMs = nowMs;
    this.reading ??= this.readKeys().finally(() => {
      this.reading = null;
    });
    return this.reading;
  }

  private async readKeys(): Promise<void> {
    const { source, clock, read = readSource } = this.options;
    try {
      this.keys = keySetOf(JSON.parse(await read(source)));
      this.readMs = clock.now();
    } catch (error) {
      this.fault = error instanceof Error ? error.message : String(error);
      this.log.error({ source: nameOf(source), reason: this.fault }, 'cannot read the key set for tokens');
    }
  }
}

function isUrl(source: string): boolean {
  return /^https?:\/\//i.test(source);
}

/** The source without credentials and query. */
function nameOf(source: string): string {
  if (!isUrl(source)) return source;
  const { origin, pathname } = new URL(source);
  return origin + pathname;
}

async function readSource(source: string): Promise<string> {
  if (!isUrl(source)) return await readRegularFile(source, KEY_SET_BYTES);
  const response = await fetch(source, { redirect: 'error', signal: AbortSignal.timeout(READ_TIMEOUT_MS) });
  if (!response.ok) throw new Error(`HTTP status ${response.status}`);
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > KEY_SET_BYTES) throw new Error(`the key set must have at most ${KEY_SET_BYTES} bytes`);
  }
  return text;
}
