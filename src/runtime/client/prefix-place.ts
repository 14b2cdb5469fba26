import { z } from 'zod';
import { Unavailable } from '../../errors.js';

/** Asks a coordinator where the K/V of a prompt is. */

/** Time for the answer: a worse place costs less than a long wait. */
const ASK_TIMEOUT_MS = 2_000;

/** The address of a coordinator, and the credentials for it. */
export interface CoordinatorAccess {
  readonly url: string;
  readonly apiKey: string | null;
}

const Answer = z.object({ would_run_on: z.string().nullable() });

/**
 * The worker on which a prompt that begins so would run, which is the one that has most of its K/V; null if no worker serves.
 * @throws Unavailable if the coordinator does not answer, or refuses the question
 */
export async function workerOfPrefix(prefix: string, { url, apiKey }: CoordinatorAccess): Promise<string | null> {
  const headers = {
    'content-type': 'application/json',
    ...(apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }),
  };
  try {
    const response = await fetch(new URL('/v1/cache/explain', url), {
      method: 'POST',
      headers,
      body: JSON.stringify({ prompt: prefix }),
      signal: AbortSignal.timeout(ASK_TIMEOUT_MS),
    });
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
    return Answer.parse(await response.json()).would_run_on;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Unavailable(`cannot ask ${url} where a prefix is: ${why}`, { cause });
  }
}
