import { createHash } from 'node:crypto';
import { lstat, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { Refused } from '../errors.js';
import { CachedBlob } from './cached-blob.js';
import { parsePythonJson } from './python-json.js';

/** Reads the JSON files of a model folder. */

/** The largest JSON file of a model folder that is read. The largest tokenizers have about 35 MB. @internal exported for tests. */
export const MODEL_JSON_BYTES = 128 * 2 ** 20;

/**
 * Reads a text file of a model folder; null if there is none.
 * @throws Refused if it cannot be read, is too large, is not a regular file (a pipe would block), or is a link to nothing, as downloads leave that were cut.
 * Corrupt if it is in a hub's cache and its bytes do not match its name
 */
export async function readModelFile(dir: string, name: string): Promise<string | null> {
  const path = join(dir, name);
  if ((await lstat(path).catch(() => null)) === null) return null;
  const found = await stat(path).catch((cause: Error) => {
    throw new Refused(
      `cannot open model folder ${dir}: ${name} is a link to a file that cannot be read; fetch it again`,
      {
        cause,
      },
    );
  });
  if (!found.isFile()) throw new Refused(`cannot open model folder ${dir}: ${name} is not a regular file`);
  requireReadable(path, found.size);
  const bytes = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    throw new Refused(`cannot open model folder ${dir}: ${name} cannot be read: ${cause.code ?? cause.message}`, {
      cause,
    });
  });
  const blob = await CachedBlob.at(path);
  blob?.update(bytes);
  blob?.requireIntact(() => createHash('sha256').update(bytes).digest('hex'));
  return bytes.toString('utf8');
}

/** Checks the size of a file before it is read. @throws Refused if a file of this size is too large to be read */
export function requireReadable(path: string, byteLength: number): void {
  if (byteLength <= MODEL_JSON_BYTES) return;
  throw new Refused(
    `cannot open model folder ${dirname(path)}: ${basename(path)} has ${byteLength} bytes; at most ${MODEL_JSON_BYTES} are allowed`,
  );
}

/** Reads a JSON object of a model folder; null if the file is missing. @throws Refused if it is no JSON object, or as `readModelFile` does */
export async function readModelJson(dir: string, name: string): Promise<Record<string, unknown> | null> {
  const text = await readModelFile(dir, name);
  if (text === null) return null;
  try {
    return z.record(z.string(), z.unknown()).parse(parsePythonJson(text));
  } catch (error) {
    throw new Refused(`cannot open model folder ${dir}: ${name} is not a JSON object; fetch it again`, {
      cause: error,
    });
  }
}
