import type { CacheExplanation, ExplainedBlock } from '../../src/console/cache-answers.js';
import type { TokensBySource } from '../../src/console/feed-messages.js';
import { counted } from '../parts/words.js';
import { BLOCK_TOKENS } from './parting.js';

/** The explanation of a prompt, in words. Pure. */

/** Where a block would come from on the worker that would get the prompt. */
export function sourceOfBlock({ state, holders }: ExplainedBlock, worker: string | null): keyof TokensBySource {
  if (state === 'miss') return 'computed';
  return worker !== null && holders.includes(worker) ? 'local' : 'remote';
}

/** Tokens by possible source. The decision to fetch is made when the prompt runs. */
export function expectedSources({ tokens, blocks, would_run_on: worker }: CacheExplanation): TokensBySource {
  const of = (source: keyof TokensBySource) =>
    BLOCK_TOKENS * blocks.filter((block) => sourceOfBlock(block, worker) === source).length;
  const [local, remote] = [of('local'), of('remote')];
  return { local, remote, computed: tokens - local - remote };
}

/** The effect of sending the prompt now. */
export function explanationSentence(explained: CacheExplanation): string {
  const { tokens, blocks, would_run_on: worker } = explained;
  if (worker === null) return 'No worker could take this prompt now.';
  if (blocks.length === 0) {
    return `${counted(tokens, 'token')}: fewer than a block of ${BLOCK_TOKENS}. ${worker} would compute all of it, and nothing of it is kept.`;
  }
  const { local, remote, computed } = expectedSources(explained);
  const parts = [
    local > 0 ? `find ${counted(local, 'token')} in its own memory` : null,
    remote > 0
      ? `could fetch ${counted(remote, 'token')} from other workers if that is faster than computing them`
      : null,
    computed > 0 ? `compute ${counted(computed, 'token')}` : null,
  ].filter((part) => part !== null);
  const last = parts.pop();
  return `The prompt would go to ${worker}. It would ${parts.length === 0 ? last : `${parts.join(', ')}, and ${last}`}.`;
}

/** The tokens behind the last full block, or nothing. */
export function tailSentence({ tokens, blocks }: CacheExplanation): string | null {
  const rest = tokens - BLOCK_TOKENS * blocks.length;
  if (rest === 0 || blocks.length === 0) return null;
  return `The last ${counted(rest, 'token')} fill no block: they are always computed.`;
}

/** The holders of the block, each with its tier. */
export function holdersText({ holders, tiers }: ExplainedBlock): string {
  return holders.map((id) => (tiers[id] === undefined ? id : `${id} (${tiers[id]})`)).join(', ');
}
