import { readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { Refused, Unavailable } from '../../src/errors.js';
import { installFromDebian } from './debian.js';
import { natsServerVersion } from './install.js';
import { installRelease, type NatsRelease, PINNED_RELEASE, releaseFolder } from './release.js';

export interface FindOptions {
  /** Path of a nats-server that the user named. */
  path?: string;
  env?: Readonly<Record<string, string | undefined>>;
  /** One line for each step that takes time or does not work out. */
  onProgress?: (line: string) => void;
  release?: NatsRelease;
  /** Whether the Debian package may be asked for. */
  debian?: boolean;
}

export interface FoundServer {
  readonly path: string;
  readonly version: string;
}

/** Older servers lack parts of JetStream that are used. */
const OLDEST: readonly [number, number] = [2, 9];

/**
 * Finds a nats-server, or installs one into the cache folder: option, `SHOAL_NATS_SERVER`, `PATH`, cache folder, the pinned
 * official release, Debian's package, in this order. Throws Refused if the one that the user named does not work, Unavailable
 * with the ways to get one if there is none.
 */
export async function findNatsServer(options: FindOptions = {}): Promise<FoundServer> {
  const env = options.env ?? process.env;
  const onProgress = options.onProgress ?? (() => undefined);
  const named = options.path ?? env.SHOAL_NATS_SERVER;
  if (named !== undefined && named !== '') return mustWork(named);

  const cacheDir = natsCacheDir(env);
  const release = options.release ?? PINNED_RELEASE;
  for (const path of [...inPath(env), ...(await inCache(cacheDir, release))]) {
    const version = await natsServerVersion(path);
    if (version !== null && recent(version)) return { path, version };
    if (version !== null) onProgress(`${path} is version ${version}, older than ${OLDEST.join('.')}: looking further`);
  }

  const failures: string[] = [];
  const sources: [string, () => Promise<string>][] = [
    [`official release ${release.version}`, () => installRelease(release, cacheDir, onProgress)],
  ];
  if (options.debian ?? true) sources.push(['Debian package', () => installFromDebian(cacheDir, onProgress)]);
  for (const [name, fetch] of sources) {
    try {
      const found = await mustWork(await fetch());
      onProgress(`nats-server ${found.version} is at ${found.path}`);
      return found;
    } catch (error) {
      failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      onProgress(`no nats-server from the ${failures.at(-1)}`);
    }
  }
  throw new Unavailable(
    `there is no nats-server and none could be installed (${failures.join('; ')}). Three ways to get one: ` +
      'install it (apt-get install nats-server, brew install nats-server, or https://nats.io/download), ' +
      'set SHOAL_NATS_SERVER to the path of the program, or start NATS yourself and give its address with --nats URL.',
  );
}

/** Folder in which installed servers are kept. @internal exported for tests. */
export function natsCacheDir(env: Readonly<Record<string, string | undefined>>): string {
  const base = env.XDG_CACHE_HOME;
  return join(base?.startsWith('/') ? base : join(env.HOME ?? homedir(), '.cache'), 'shoal', 'nats-server');
}

async function mustWork(path: string): Promise<FoundServer> {
  const version = await natsServerVersion(path);
  if (version === null)
    throw new Refused(`${path} is not a nats-server that runs here: check the path and that it is executable`);
  if (!recent(version)) throw new Refused(`${path} is nats-server ${version}: ${OLDEST.join('.')} or newer is needed`);
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

/** The pinned release first, then whatever else was installed. */
async function inCache(cacheDir: string, release: NatsRelease): Promise<string[]> {
  const folders = (await readdir(cacheDir).catch(() => [])).filter((folder) => !folder.startsWith('.')).sort();
  const pinned = releaseFolder(release);
  const ordered = [...folders.filter((f) => f === pinned), ...folders.filter((f) => f !== pinned)];
  return ordered.map((folder) => join(cacheDir, folder, 'nats-server'));
}
