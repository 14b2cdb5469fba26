import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

/** Reads files that a user names: regular ones alone, since a pipe would never end. */

/** The last bytes of a file, at most `mostBytes`, as text. @throws Error that says why the file cannot be read */
export function readPlainFile(path: string, mostBytes: number): string {
  // Without O_NONBLOCK, already the opening of a pipe waits for its other end.
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const found = fstatSync(file);
    if (!found.isFile()) throw new Error(`${path} is not a regular file`);
    const bytes = Buffer.alloc(Math.min(found.size, mostBytes));
    const read = readSync(file, bytes, 0, bytes.byteLength, found.size - bytes.byteLength);
    return bytes.subarray(0, read).toString();
  } finally {
    closeSync(file);
  }
}
