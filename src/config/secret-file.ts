import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { WrongUsage } from './wrong-usage.js';

/** A file that holds a secret or keys. */
const SECRET_FILE_BYTES = 2 ** 20;

/**
 * Text of a file that holds a secret, without white space around it.
 * @param name the option that named the file, for the message
 * @throws WrongUsage if it cannot be read, is empty or too large
 */
export function readSecretFile(name: string, path: string): string {
  let text: string;
  try {
    const file = openSync(path, 'r');
    try {
      if (fstatSync(file).size > SECRET_FILE_BYTES) throw new Error('it is too large');
      text = readFileSync(file, 'utf8').trim();
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw new WrongUsage(
      `${name} names ${path}, which cannot be read: ${error instanceof Error ? error.message : error}.`,
    );
  }
  if (text === '') throw new WrongUsage(`${name} names ${path}, which is empty.`);
  return text;
}
