import type { CacheExplanation } from '../../src/console/cache-answers.js';
import type { FeedWorker } from '../../src/console/feed-messages.js';
import { SAMPLE_PROMPT } from './sample-prompt.js';

/** The choice of another worker for the sample prompt. Pure. */

/** The question to the coordinator about the copies of the sample prompt. */
export function sampleQuestion(salt: string): Record<string, unknown> {
  return { prompt: SAMPLE_PROMPT, cache_salt: salt };
}

/** The workers that serve and have not answered yet, best first: with the fewest of the prompt's blocks, or of all if those are unknown. */
export function otherWorkers(
  workers: readonly FeedWorker[],
  answered: readonly string[],
  { blocks }: Pick<CacheExplanation, 'blocks'> = { blocks: [] },
): string[] {
  // The homes of a block get their copies soon, and would show no fetch.
  const copies = (worker: string) =>
    blocks.filter(({ holders, homes }) => holders.includes(worker) || homes.includes(worker)).length;
  return workers
    .filter(({ id, state }) => state === 'serving' && !answered.includes(id))
    .toSorted((a, b) => copies(a.id) - copies(b.id) || a.blocks - b.blocks)
    .map(({ id }) => id);
}

/** Why the reader cannot ask another worker; null if there is one. */
export function whyNoOther(
  workers: readonly FeedWorker[],
  answered: readonly string[],
  routing: boolean,
): string | null {
  const serving = workers.filter(({ state }) => state === 'serving').length;
  if (serving === 0) return 'No worker serves: a question waits until one does.';
  if (serving === 1) return 'Only one worker serves, so there is no other one to ask.';
  if (!routing)
    return 'A request may not name its worker here: start the coordinator with --allow-routing to ask another one.';
  const left = otherWorkers(workers, answered).length;
  return left > 0 ? null : 'Each worker has answered by now. Ask starts over with a prompt that none of them knows.';
}
