import type { BlockMeta } from '../src/core/block.js';
import type { Holdings } from '../src/core/holdings.js';
import type { Load } from '../src/core/load.js';
import type { Member } from '../src/core/member.js';
import { type Candidate, place, ringBlock } from '../src/core/placement.js';
import { BLOCK_TOKENS } from '../src/limits.js';
import type { AdapterRef } from '../src/protocol/adapter.js';
import type { Ring } from '../src/ring/ring.js';

/** Ranks the workers for a prompt by a coordinator's knowledge: the pure part of routing. */

/** How many workers, clockwise on the ring, placement gets in order. */
const RING_WORKERS = 64;

/** A prompt to be placed. */
export interface RankedPrompt {
  readonly promptTokens: number;
  /** Its full blocks. */
  readonly blocks: readonly BlockMeta[];
  /** Tokens of prompt and answer together. */
  readonly contextTokens: number;
  /** The adapter with which the model runs. Default: none. */
  readonly adapter?: AdapterRef | null;
}

/** The fleet as a coordinator knows it. */
export interface KnownFleet {
  readonly members: readonly Member[];
  readonly ring: Ring;
  readonly holdings: Holdings;
  /** All load, by worker. */
  readonly loads: ReadonlyMap<string, Load>;
  /** Tokens of a block. Default: `BLOCK_TOKENS`. */
  readonly blockTokens?: number;
}

/**
 * The workers that could take the prompt now, best first.
 * @param excluded workers that must not be chosen
 * @param draw breaks ties: a whole number below 2^32, random for each request
 */
export function rankWorkers(
  { promptTokens, blocks, contextTokens, adapter = null }: RankedPrompt,
  { members, ring, holdings, loads, blockTokens = BLOCK_TOKENS }: KnownFleet,
  excluded: ReadonlySet<string>,
  draw: number,
): Candidate[] {
  const reachable = new Set(members.filter(({ state }) => state !== 'dead' && state !== 'suspect').map(({ id }) => id));
  const coverage = holdings.coverage(
    blocks.map(({ key }) => key),
    (worker) => reachable.has(worker),
  );
  const placing = blocks[ringBlock(coverage, blocks.length)];
  const ringOrder = placing ? ring.homes(placing.segment, RING_WORKERS) : [];
  const prompt = { promptTokens, contextTokens, blockTokens, adapter };
  return place({ ...prompt, coverage, members, ringOrder, loads, excluded, draw });
}
