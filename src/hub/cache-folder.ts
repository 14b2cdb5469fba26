import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Refused, ShoalError } from '../errors.js';

/** The folder of the hub's cache, which may be read-only, full, or no folder at all. */

/** Turns an error of the system about a file into a refusal that names the cache and the remedy. */
export async function usingCache<T>(cacheDir: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof ShoalError || !isAboutFile(error)) throw error;
    throw new Refused(
      `cannot use the cache of the hub in ${cacheDir}: ${error.message}; mend that, or set HF_HUB_CACHE to a folder on a disk with room that this user may write to`,
      { cause: error },
    );
  }
}

/** Makes a folder with its parents. Node's own recursion never ends where a parent is there and cannot have folders, as below /proc. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || dirname(path) === path) throw error;
    await makeFolder(dirname(path));
    await mkdir(path).catch((again: NodeJS.ErrnoException) => {
      if (again.code !== 'EEXIST') throw again;
    });
  }
}

function isAboutFile(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error && 'path' in error && 'code' in error;
}
