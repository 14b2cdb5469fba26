import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { install, runProgram } from './install.js';

/** Limits on fetching a release of nats-server: its size, the time to connect, and the time for all of it. */
const NATS_DOWNLOAD_BYTES = 64 * 2 ** 20;
const NATS_CONNECT_TIMEOUT_MS = 5_000;
const NATS_DOWNLOAD_TIMEOUT_MS = 120_000;

/** An official release of nats-server, and the published SHA-256 of its archives. */
export interface NatsRelease {
  readonly version: string;
  readonly baseUrl: string;
  /** By `<platform>-<architecture>`, as the release names them. */
  readonly sha256: Readonly<Record<string, string>>;
}

export const PINNED_RELEASE: NatsRelease = {
  version: '2.12.15',
  baseUrl: 'https://github.com/nats-io/nats-server/releases/download',
  sha256: {
    'linux-amd64': '58ab8131f819263897e2fc38e503e1b755b63bcafeecc7d12582487df48ca15e',
    'linux-arm64': 'b724db99fefbf8f5c808baa82819ee50350aee9734017e4a478f7e545cef3ab6',
  },
};

/** The platform of this machine, as the release names it. @internal exported for tests. */
export function releasePlatform(): string {
  return `${process.platform}-${process.arch === 'x64' ? 'amd64' : process.arch}`;
}

/** Folder of the release in the cache. */
export function releaseFolder(release: NatsRelease): string {
  return `v${release.version}-${releasePlatform()}`;
}

/** Downloads the release into the cache folder and returns the path of the program. Rejects if the checksum differs. */
export async function installRelease(
  release: NatsRelease,
  cacheDir: string,
  onProgress: (line: string) => void,
): Promise<string> {
  const platform = releasePlatform();
  const expected = release.sha256[platform];
  if (expected === undefined) throw new Error(`no checksum is pinned for ${platform}`);
  const stem = `nats-server-v${release.version}-${platform}`;
  const url = `${release.baseUrl}/v${release.version}/${stem}.tar.gz`;
  onProgress(`downloading ${url}`);
  const archive = await download(url);
  const actual = createHash('sha256').update(archive).digest('hex');
  if (actual !== expected)
    throw new Error(`cannot trust ${url}: its SHA-256 is ${actual}, not the published ${expected}`);
  return install(cacheDir, releaseFolder(release), async (scratchDir) => {
    const file = join(scratchDir, 'release.tar.gz');
    await writeFile(file, archive);
    await runProgram('tar', ['-xzf', file, '-C', scratchDir, `${stem}/nats-server`]);
    return join(scratchDir, stem, 'nats-server');
  });
}

async function download(url: string): Promise<Uint8Array> {
  const abort = new AbortController();
  const abortAfter = (reason: string, ms: number) => setTimeout(() => abort.abort(new Error(reason)), ms);
  const connecting = abortAfter(`no answer within ${NATS_CONNECT_TIMEOUT_MS} ms`, NATS_CONNECT_TIMEOUT_MS);
  const loading = abortAfter(`incomplete after ${NATS_DOWNLOAD_TIMEOUT_MS} ms`, NATS_DOWNLOAD_TIMEOUT_MS);
  try {
    const response = await fetch(url, { signal: abort.signal });
    clearTimeout(connecting);
    if (!response.ok || !response.body) throw new Error(`HTTP status ${response.status}`);
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of response.body) {
      bytes += chunk.byteLength;
      if (bytes > NATS_DOWNLOAD_BYTES) throw new Error(`more than ${NATS_DOWNLOAD_BYTES} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } catch (error) {
    abort.abort();
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new Error(`cannot download: ${cause instanceof Error ? cause.message || String(cause) : String(cause)}`);
  } finally {
    clearTimeout(connecting);
    clearTimeout(loading);
  }
}
