import { readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { cacheFolder, inCacheFolder } from '../../src/config/cache-folder.js';
import { Refused, Unavailable } from '../../src/errors.js';
import { ForeignFolder, ownFolder } from '../../src/own-folder.js';
import { installFromDebian } from './debian.js';
import { natsServerVersion } from './install.js';
import { installRelease, type NatsRelease, PINNED_RELEASE, releaseFolder } from './release.js';

/** Finds a nats-server on this machine, or installs one. */

export interface FindOptions {
  /** Path of a nats-server given by the user. */
  path?: string;
  env?: Readonly<Record<string, string | undefined>>;
  /** Called with one line for each step that takes time or fails. */
  onProgress?: (line: string) => void;
  release?: NatsRelease;
  /** Whether the Debian package may be used. */
  debian?: boolean;
}

export interface FoundServer {
  readonly path: string;
  readonly version: string;
}

/** Older servers lack parts of JetStream that shoal uses. */
const OLDEST: readonly [number, number] = [2, 9];

/**
 * Finds a nats-server, or installs one into the cache folder. The order is: option, `SHOAL_NATS_SERVER`, `PATH`, cache folder, pinned
 * official release, Debian package.
 * @throws Refused if the server given by the user does not work; Unavailable with ways to get a server if none was found
 */
export async function findNatsServer(options: FindOptions = {}): Promise<FoundServer> {
  const found = await existingNatsServer(options);
  if (found !== null) return found;
  const env = options.env ?? process.env;
  return inCacheFolder('install nats-server', OWN_SERVER, env, (folder) => installServer(serversIn(folder), options));
}

/** Ways to get a nats-server without installing one into the cache folder. */
const OWN_SERVER =
  'install it (apt-get install nats-server, or https://nats.io/download), set SHOAL_NATS_SERVER to its path, or set --nats to a running server';

/**
 * Looks for a nats-server without installing one. It needs no cache folder. Null if there is none.
 * @throws Refused if the server given by the user does not work
 */
export async function existingNatsServer(options: FindOptions = {}): Promise<FoundServer | null> {
  const env = options.env ?? process.env;
  const { onProgress = () => undefined, release = PINNED_RELEASE } = options;
  const named = options.path ?? env.SHOAL_NATS_SERVER;
  if (named !== undefined && named !== '') return mustWork(named);

  for (const path of [...inPath(env), ...(await inCache(cacheFolder(env), release, onProgress))]) {
    const version = await natsServerVersion(path);
    if (version !== null && recent(version)) return { path, version };
    if (version !== null) onProgress(`skipping ${path}: version ${version} is older than ${OLDEST.join('.')}`);
  }
  return null;
}

async function installServer(cacheDir: string, options: FindOptions): Promise<FoundServer> {
  const { onProgress = () => undefined, release = PINNED_RELEASE, debian = true } = options;
  const failures: string[] = [];
  const sources: [string, () => Promise<string>][] = [
    [`official release ${release.version}`, () => installRelease(release, cacheDir, onProgress)],
  ];
  if (debian) sources.push(['Debian package', () => installFromDebian(cacheDir, onProgress)]);
  for (const [name, fetch] of sources) {
    try {
      const found = await mustWork(await fetch());
      onProgress(`installed nats-server ${found.version} at ${found.path}`);
      return found;
    } catch (error) {
      failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      onProgress(`cannot install the ${failures.at(-1)}`);
    }
  }
  throw new Unavailable(`cannot find or install a nats-server: ${failures.join('; ')}; ${OWN_SERVER}`);
}

/** The folder of installed servers in the cache folder. @internal exported for tests. */
export function serversIn(cacheDir: string): string {
  return join(cacheDir, 'nats-server');
}

async function mustWork(path: string): Promise<FoundServer> {
  const version = await natsServerVersion(path);
  if (version === null)
    throw new Refused(
      `cannot run ${path} as nats-server: it does not report a version; check the path and that the file is executable`,
    );
  if (!recent(version)) {
    throw new Refused(`cannot use ${path}: it is nats-server ${version}; install ${OLDEST.join('.')} or newer`);
  }
  return { path, version };
}

function recent(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}

function inPath(env: Readonly<Record<string, string | undefined>>): string[] {
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, 'nats-server'));
}

/** Paths in the cache folder: the pinned release first, then all others. */
async function inCache(
  cacheFolder: string | null,
  release: NatsRelease,
  onProgress: (line: string) => void,
): Promise<string[]> {
  if (cacheFolder === null) return [];
  const cacheDir = serversIn(cacheFolder);
  const folders = (await readdir(cacheDir).catch(() => [])).filter((folder) => !folder.startsWith('.')).sort();
  if (folders.length === 0) return [];
  try {
    for (const folder of [cacheFolder, cacheDir]) await ownFolder(folder);
  } catch (error) {
    if (!(error instanceof ForeignFolder)) throw error;
    onProgress(`skipping the servers in ${cacheDir}: ${error.message}`);
    return [];
  }
  const pinned = releaseFolder(release);
  const ordered = [...folders.filter((f) => f === pinned), ...folders.filter((f) => f !== pinned)];
  return ordered.map((folder) => join(cacheDir, folder, 'nats-server'));
}
