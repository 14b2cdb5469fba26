import { homedir } from 'node:os';
import { join } from 'node:path';
import { Unavailable } from '../errors.js';
import { ForeignFolder, ownFolder } from '../own-folder.js';
import type { EnvironmentVariables } from './read-options.js';

/** The folder for data that shoal can fetch or make again: programs and models of benchmarks. */

/** The folder, which may be missing; null for a user without a home folder. */
export function cacheFolder(environment: EnvironmentVariables): string | null {
  const base = cacheHome(environment);
  return base === null ? null : join(base, 'shoal');
}

/** The folder of all programs' caches: `XDG_CACHE_HOME`, else `.cache` in the home folder; null if there is neither. */
export function cacheHome(environment: EnvironmentVariables): string | null {
  const { XDG_CACHE_HOME: base, HOME: named } = environment;
  if (base?.startsWith('/')) return base;
  const home = named?.startsWith('/') ? named : systemHome();
  return home === null ? null : join(home, '.cache');
}

/**
 * Makes the cache folder if it is missing, and does work that writes into it.
 * @param what names the work, for the message
 * @param otherwise what the user can do instead of giving a folder
 * @throws Unavailable that names the variable to set, if there is no such folder or this process cannot write there
 */
export async function inCacheFolder<T>(
  what: string,
  otherwise: string,
  environment: EnvironmentVariables,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = cacheFolder(environment);
  const remedy = `set XDG_CACHE_HOME to a folder that this user may write to, or ${otherwise}`;
  if (folder === null) throw new Unavailable(`cannot ${what}: this user has no home folder; ${remedy}`);
  try {
    await ownFolder(folder);
    return await work(folder);
  } catch (error) {
    if (error instanceof ForeignFolder) throw new Unavailable(`cannot ${what}: ${error.message}`, { cause: error });
    if (!isDenied(error)) throw error;
    throw new Unavailable(`cannot ${what} in ${folder}: ${error.message}; ${remedy}`, { cause: error });
  }
}

/** The home folder in the system's list of users. A container may run as a user that is not in it. */
function systemHome(): string | null {
  try {
    const home = homedir();
    return home.startsWith('/') ? home : null;
  } catch {
    return null;
  }
}

const DENIED = ['EACCES', 'EPERM', 'EROFS', 'ENOENT', 'ENOTDIR', 'ENOSPC', 'EDQUOT'];

function isDenied(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error && DENIED.includes(String(error.code));
}
