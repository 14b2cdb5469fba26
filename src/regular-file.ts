import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

const { O_NONBLOCK, O_RDONLY } = constants;

/**
 * The text of a regular file. Anything else in its place is refused unread: a pipe would keep the reader, and one of Node's few threads, until somebody
 * writes to it, and a device may never end.
 * @throws Error that says why the file cannot be read
 */
export async function readRegularFile(path: string, limitBytes: number): Promise<string> {
  // Without O_NONBLOCK, already the opening of a pipe waits for its other end.
  const file = await open(path, O_RDONLY | O_NONBLOCK);
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new Error(`${path} is not a regular file`);
    if (found.size > limitBytes) throw new Error(`the file must have at most ${limitBytes} bytes, got ${found.size}`);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}
