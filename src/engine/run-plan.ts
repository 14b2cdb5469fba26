import type { KvDependence } from '../core/kv-dependence.js';
import type { KvLayout } from '../core/kv-layout.js';
import type { Device } from '../device/device.js';
import { Refused } from '../errors.js';

/** Divides the computation of a sequence into runs of the graph, so that its numbers depend on its tokens alone. */

/** The facts about a sequence that a plan needs. @internal exported for tests. */
export interface PlannedSequence {
  /** The number of prompt tokens, without the tokens of the answer. */
  readonly promptTokens: number;
  /** The number of tokens, prompt and answer. */
  readonly length: number;
}

export interface RunPlan {
  /** Where the run ends that begins at token `from`, at most `limit` tokens later. Tokens from the end on belong to later runs. */
  endOfRun(sequence: PlannedSequence, from: number, limit: number): number;
  /** How many of a sequence's first tokens have K/V that others may use. */
  shareableTokens(sequence: PlannedSequence): number;
  /** Whether each run computes the logits of all its positions, because their numbers depend on how many are computed. */
  readonly keepsAll: boolean;
}

/** The plan for graphs whose numbers do not depend on how the tokens are divided into runs. */
const FREE: RunPlan = {
  endOfRun: ({ length }, from, limit) => Math.min(length, from + limit),
  shareableTokens: ({ length }) => length,
  keepsAll: false,
};

/** Runs that end where a block ends, because the states of layers without K/V must be copied there: later tokens change them. */
function endingAtBlocks(blockTokens: number): RunPlan {
  return {
    ...FREE,
    endOfRun: ({ length }, from, limit) => Math.min(length, from + limit, blockEnd(from, blockTokens)),
  };
}

/** Where the block ends that token `from` is in. */
function blockEnd(from: number, blockTokens: number): number {
  return (Math.floor(from / blockTokens) + 1) * blockTokens;
}

/**
 * One run for each block of a prompt, one for the rest of the prompt, and one for each token of the answer, including tokens that another worker
 * generated. Each run's tokens follow from the prompt alone, so its numbers do. K/V of the rest and of the answer is not shared: in a longer
 * prompt the same tokens would be in another run.
 */
function blockGrid(blockTokens: number): RunPlan {
  return {
    endOfRun: ({ promptTokens }, from) =>
      from >= promptTokens ? from + 1 : Math.min(promptTokens, blockEnd(from, blockTokens)),
    shareableTokens: ({ promptTokens }) => promptTokens - (promptTokens % blockTokens),
    keepsAll: true,
  };
}

/** The prompt in one run of any length, and one run for each token of the answer. Nothing is shared. */
const WHOLE: RunPlan = {
  endOfRun: ({ promptTokens }, from) => (from >= promptTokens ? from + 1 : promptTokens),
  shareableTokens: () => 0,
  keepsAll: false,
};

/** The plan for graphs with this dependence. */
export function runPlan(
  { kind }: KvDependence,
  { blockTokens, states }: Pick<KvLayout, 'blockTokens' | 'states'>,
): RunPlan {
  if (kind === 'run') return blockGrid(blockTokens);
  if (kind === 'length') return WHOLE;
  return states === undefined ? FREE : endingAtBlocks(blockTokens);
}

/** The bounds on the runs of a plan. */
export interface RunBounds {
  /** The number of tokens of a run, where a plan leaves it open. */
  readonly chunkTokens: number;
  readonly blockTokens: number;
  readonly contextTokens: number;
  readonly device: Pick<Device, 'kind' | 'longestRunTokens'>;
}

/**
 * The greatest number of tokens of a run of this plan.
 * @throws Refused if the graph needs longer runs than the device computes right
 */
export function longestRun(dependence: KvDependence, bounds: RunBounds): number {
  const { chunkTokens, blockTokens, contextTokens, device } = bounds;
  if (dependence.kind !== 'run' && dependence.kind !== 'length') return Math.min(chunkTokens, device.longestRunTokens);
  const tokens = dependence.kind === 'run' ? blockTokens : contextTokens;
  if (tokens <= device.longestRunTokens) return tokens;
  throw new Refused(
    `cannot run the model's graph on device ${device.kind}: it needs runs of ${tokens} tokens (${dependence.reason}), and ONNX Runtime computes runs of more than ${device.longestRunTokens} tokens wrong on this adapter; use --device cpu, or an export of type q4`,
  );
}
