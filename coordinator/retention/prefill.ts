import { GREEDY } from '../../src/protocol/generate.js';
import type { Fleet } from '../fleet.js';
import type { StoredPrompt } from './retention-store.js';

/** Tokens of the answer that a prefill asks for, and that the context of its worker must leave. */
export const PREFILL_ANSWER_TOKENS = 1;

/**
 * Computes a prompt on a worker, for the sake of its blocks, in the share of the tenant that pinned it. The worker fetches blocks from peers, and computes the rest. Rejects as
 * `Fleet.generate` does.
 */
export async function prefill(
  fleet: Pick<Fleet, 'generate'>,
  id: string,
  worker: string,
  { tokens, salt, tenant, adapter }: StoredPrompt,
  signal: AbortSignal,
): Promise<void> {
  const stopping = { maxTokens: PREFILL_ANSWER_TOKENS, minTokens: 0, tokenIds: [], ignoreEos: true };
  const own = { requestId: id, tokens, salt, tenant, ...(adapter ? { adapter } : {}) };
  const events = fleet.generate({ ...own, sampling: GREEDY, stopping, worker }, signal);
  for await (const _ of events) {
    // The answer is not used.
  }
}
