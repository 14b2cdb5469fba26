import { once } from 'node:events';
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Clock } from '../../src/clock.js';
import { Cancelled } from '../../src/errors.js';
import { ApiError } from '../openai/api-error.js';
import type { BytesAnswer } from './route.js';
import { StallGuard } from './stall-guard.js';

/**
 * Sends an answer of bytes, in the memory in which they are, as fast as the client takes them, until `signal` aborts. If the bytes break off, so does the connection, as
 * nothing else can inform the client. Returns the failure; null for none.
 */
export async function sendBytes(
  { status, headers, body }: BytesAnswer,
  response: ServerResponse,
  common: OutgoingHttpHeaders,
  clock: Clock,
  stallTimeoutMs: number,
  signal: AbortSignal,
): Promise<ApiError | null> {
  const guard = new StallGuard(response, clock, stallTimeoutMs);
  try {
    response.writeHead(status, { ...common, ...headers });
    for (let piece = (await body?.next()) ?? null; piece !== null; piece = await body!.next()) {
      const { bytes, release } = piece;
      if (response.closed || signal.aborted) {
        release();
        throw signal.aborted ? signal.reason : new Cancelled('the client disconnected');
      }
      // Called also if the connection closes before the bytes are sent.
      const more = response.write(bytes, () => release());
      guard.restart();
      if (!more) await drained(response);
      guard.restart();
    }
    response.end();
    return null;
  } catch (error) {
    response.destroy();
    return ApiError.from(error);
  } finally {
    body?.close();
  }
}

/** Resolves when the client has taken the written bytes, or is gone. Leaves no listeners behind: a large value needs many turns. */
async function drained(response: ServerResponse): Promise<void> {
  const over = new AbortController();
  const { signal } = over;
  try {
    await Promise.race([once(response, 'drain', { signal }), once(response, 'close', { signal })]);
  } finally {
    over.abort();
  }
}
