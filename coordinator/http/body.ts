import { Cancelled } from '../../src/errors.js';
import { ApiError } from '../openai/api-error.js';

/**
 * Reads a request body of at most `limitBytes`.
 *
 * A longer body is read and discarded, up to `discardBytes`, before the 413: a client that is still sending when the connection closes sees
 * a connection reset and never the response. Rejects with `Cancelled` if the client disconnects before the end of the body.
 */
export async function readBody(body: AsyncIterable<Buffer>, limitBytes: number, discardBytes: number): Promise<Buffer> {
  try {
    return await collect(body, limitBytes, discardBytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
    throw new Cancelled('the client disconnected before the end of its request body', { cause: error });
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
  throw new ApiError(413, `body: must be at most ${limitBytes} bytes`, { code: 'body_too_large' });
}
