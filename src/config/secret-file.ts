import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { WrongUsage } from './wrong-usage.js';

/** A file that holds a secret or keys. */
const SECRET_FILE_BYTES = 2 ** 20;

/**
 * Reads a secret from a file, without surrounding white space.
 * @param name the option that gave the path, for the message
 * @throws WrongUsage if the file cannot be read, is empty, or is too large
 */
export function readSecretFile(name: string, path: string): string {
  let text: string;
  try {
    const file = openSync(path, 'r');
    try {
      if (fstatSync(file).size > SECRET_FILE_BYTES) throw new Error(`it has more than ${SECRET_FILE_BYTES} bytes`);
      text = readFileSync(file, 'utf8').trim();
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw new WrongUsage(`${name}: cannot read ${path}: ${error instanceof Error ? error.message : error}`);
  }
  if (text === '') throw new WrongUsage(`${name}: the file must not be empty, got ${path}`);
  return text;
}
