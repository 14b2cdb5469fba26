import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../src/config/cache-folder.js';
import type { EnvironmentVariables } from '../src/config/read-options.js';

/** The key of the blocks on disk, for fleets that get a new secret at each start. */

const KEY_BYTES = 32;

/**
 * A file in the cache folder with a random key that outlives the fleet, made if it is missing and readable for this user alone; null if there can be
 * no such file. Of several processes that make it at once, all get the same.
 */
export function diskKeyFile(environment: EnvironmentVariables): string | null {
  const folder = cacheFolder(environment);
  if (folder === null) return null;
  const path = join(folder, 'disk-cache-key');
  const own = `${path}.${process.pid}`;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(own, randomBytes(KEY_BYTES).toString('base64url'), { mode: 0o600 });
    linkSync(own, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return null;
  } finally {
    rmSync(own, { force: true });
  }
  return path;
}
