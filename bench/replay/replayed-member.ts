import type { Member } from '../../src/core/member.js';
import type { CostModel } from './cost-model.js';
import { TRACE_BLOCK_TOKENS } from './trace.js';

/** A worker of a replay as its coordinator sees it: it has measured the rates of the cost model. */
export function replayedMember(
  id: string,
  { computeMsPerToken, decodeMsPerStep, fetchBytesPerMs, blockBytes }: CostModel,
): Member {
  return {
    ...{ id, incarnation: '1', generation: 1, refutation: 0, state: 'serving', pid: 1, host: id },
    ...{ device: 'cpu', deviceReason: 'a replay', contextReason: 'a replay', trial: null, fingerprint: 'replay' },
    address: { hostId: id, unixPath: null, tcpHost: null, tcpPort: null },
    budget: { device: blockBytes, host: 0 },
    bytes: { device: 0, host: 0 },
    blockBytes,
    ...{ blocks: 0, running: 0, waiting: 0, queuedTokens: 0, hitRate: 0, disk: 'none', holdingsSeq: 0 },
    capacity: { contextTokens: 2 ** 20 * TRACE_BLOCK_TOKENS, sequences: 64, waiting: 2 ** 20 },
    rates: { computeMsPerToken, decodeMsPerStep, fetchBytesPerMs },
    computeAgeMs: 0,
  };
}
