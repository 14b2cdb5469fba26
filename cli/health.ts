import { readValues } from '../src/config/config.js';
import { Unavailable } from '../src/errors.js';
import type { CommandContext } from './context.js';

/** `shoal health` waits so long for an answer. */
const HEALTH_ANSWER_MS = 4_000;

/**
 * Whether a coordinator or worker can do its work, for those who watch over it where there is no other HTTP client.
 * @throws Unavailable with its own words if it cannot, or does not answer
 */
export async function health(context: CommandContext): Promise<number> {
  const { url } = readValues('health', context);
  const asked = new URL('/health/ready', url);
  const response = await fetch(asked, { signal: AbortSignal.timeout(HEALTH_ANSWER_MS) }).catch((error: unknown) => {
    const why = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new Unavailable(`Nobody answers at ${asked} (${why}): give the address of a coordinator or worker by --url.`);
  });
  const words = (await response.text()).trim();
  if (!response.ok) throw new Unavailable(`${asked} answered ${response.status}: ${words}`);
  context.io.out(`${words}\n`);
  return 0;
}
