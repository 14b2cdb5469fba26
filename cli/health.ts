import { readValues } from '../src/config/config.js';
import { Unavailable } from '../src/errors.js';
import { callHttp } from './call-http.js';
import type { CommandContext } from './context.js';

/** How long `shoal health` waits for an answer. */
const HEALTH_ANSWER_MS = 4_000;

/**
 * `shoal health`: checks whether a coordinator or worker is ready. Container health checks use it, as the image has no HTTP client. Accepts the
 * certificate of a coordinator on this machine unchecked, since it seldom names the loopback address.
 * @throws Unavailable with the answer if the process is not ready, or if it does not answer
 */
export async function health(context: CommandContext): Promise<number> {
  const { url } = readValues('health', context);
  const asked = new URL('/health/ready', url);
  const response = await callHttp(asked, {
    signal: AbortSignal.timeout(HEALTH_ANSWER_MS),
    trustsThisMachine: true,
  }).catch((error: unknown) => {
    const why = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new Unavailable(`cannot reach ${asked}: ${why}; set --url to the address of a coordinator or worker`);
  });
  const body = (await response.text()).trim();
  if (!response.ok) throw new Unavailable(`not ready: ${asked} returned HTTP status ${response.status}: ${body}`);
  context.io.out(`${body}\n`);
  return 0;
}
