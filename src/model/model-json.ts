import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { Refused } from '../errors.js';
import { parsePythonJson } from './python-json.js';

/** Reads the JSON files of a model folder. */

/** The largest JSON file of a model folder that is read. The largest tokenizers have about 35 MB. @internal exported for tests. */
export const MODEL_JSON_BYTES = 128 * 2 ** 20;

/** Checks the size of a file before it is read. @throws Refused if a file of this size is too large to be read */
export function requireReadable(path: string, byteLength: number): void {
  if (byteLength <= MODEL_JSON_BYTES) return;
  throw new Refused(
    `cannot open model folder ${dirname(path)}: ${basename(path)} has ${byteLength} bytes; at most ${MODEL_JSON_BYTES} are allowed`,
  );
}

/** Reads a JSON object of a model folder; null if the file is missing. @throws Refused if it is no JSON object, or too large */
export async function readModelJson(dir: string, name: string): Promise<Record<string, unknown> | null> {
  const path = join(dir, name);
  const found = await stat(path).catch(() => null);
  if (!found) return null;
  requireReadable(path, found.size);
  try {
    return z.record(z.string(), z.unknown()).parse(parsePythonJson(await readFile(path, 'utf8')));
  } catch (error) {
    throw new Refused(`cannot open model folder ${dir}: ${name} is not a JSON object; fetch it again`, {
      cause: error,
    });
  }
}
