import { ASSUMED_RATES } from '../../src/core/rates.js';
import { TRACE_BLOCK_TOKENS } from './trace.js';

/** The costs of a request's steps in a replay. */
export interface CostModel {
  readonly computeMsPerToken: number;
  readonly decodeMsPerStep: number;
  readonly fetchBytesPerMs: number;
  /** Bytes of a block of `TRACE_BLOCK_TOKENS` tokens. */
  readonly blockBytes: number;
}

/** K/V of a token of a small model in 32 bits: 12 layers, 4 heads of K and of V, 64 numbers each. */
const TOKEN_BYTES = 2 * 12 * 4 * 64 * 4;

/** The rates that a fleet assumes before it has measured its own. */
export const ASSUMED_COSTS: CostModel = {
  computeMsPerToken: ASSUMED_RATES.computeMsPerToken,
  decodeMsPerStep: ASSUMED_RATES.decodeMsPerStep,
  fetchBytesPerMs: ASSUMED_RATES.fetchBytesPerMs,
  blockBytes: TRACE_BLOCK_TOKENS * TOKEN_BYTES,
};
