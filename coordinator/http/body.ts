import { Cancelled } from '../../src/errors.js';
import { ApiError } from '../openai/api-error.js';

/**
 * Reads a body of at most `limitBytes`. One that is longer is read on and thrown away, up to `discardBytes`, before it is refused: a client that
 * is still sending when the connection closes sees a broken connection, and not the answer that says why. Rejects with `Cancelled` if the client
 * goes away meanwhile.
 */
export async function readBody(body: AsyncIterable<Buffer>, limitBytes: number, discardBytes: number): Promise<Buffer> {
  try {
    return await collect(body, limitBytes, discardBytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
    throw new Cancelled('the client went away before it had sent its request', { cause: error });
  }
}

async function collect(body: AsyncIterable<Buffer>, limitBytes: number, discardBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > discardBytes) break;
    if (bytes <= limitBytes) chunks.push(chunk);
    else chunks.length = 0;
  }
  if (bytes <= limitBytes) return Buffer.concat(chunks);
  throw new ApiError(413, `The body has more than ${limitBytes} bytes.`, { code: 'body_too_large' });
}
