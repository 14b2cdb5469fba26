import { headShapes, tokenBytes } from '../core/kv-layout.js';
import type { RunDemand } from '../core/run-memory.js';
import type { ModelFolder } from '../model/folder.js';
import type { ModelGraph } from './model-graph.js';
import { longestRun } from './run-plan.js';

/** Estimates what a run of a model's graph takes on the CPU, from its graph and its configuration. */

/**
 * Score tensors at the same time, from above. Measured with ONNX Runtime 1.30 and runs of 2,048 and 4,096 tokens: 5.1 for Llama as optimum exports it,
 * in float32; a fifth more in float16, which the CPU widens. GroupQueryAttention: none in float32 without a bound of the scores, else 1.2.
 */
const SCORE_TENSORS = { 'hand-on': 6.5, 'in-place': 1.25 } as const;
/** The inner width of a feed-forward network whose configuration names none, in units of the hidden state. */
const INNER_WIDTH = 4;

/** The demand of a run. @param chunkTokens the greatest number of prompt tokens of a run, where the graph leaves it open */
export function runDemand(
  { graph, config }: Pick<ModelFolder, 'graph' | 'config'>,
  model: Pick<ModelGraph, 'kind' | 'layout' | 'dependence' | 'names' | 'lastLogitsOnly' | 'vocab'>,
  chunkTokens: number,
): RunDemand {
  const { kind, layout, dependence } = model;
  const { blockTokens, headDim } = layout;
  const device = { kind: 'cpu', longestRunTokens: Number.POSITIVE_INFINITY } as const;
  const bounds = { chunkTokens, blockTokens, contextTokens: Number.POSITIVE_INFINITY, device };
  const stated = graph.nodes.flatMap(({ integers }) => integers.get('num_heads') ?? []);
  const heads = Math.max(...stated, config.heads ?? 0, ...headShapes(layout).map(({ kvHeads }) => kvHeads));
  const allLogits = dependence.kind === 'run' || (model.names.logitsToKeep === null && !model.lastLogitsOnly);
  return {
    runTokens: longestRun(dependence, bounds),
    heads,
    scoreTensors: SCORE_TENSORS[kind],
    width: config.innerWidth ?? INNER_WIDTH * (config.hidden ?? heads * headDim),
    logits: allLogits ? model.vocab : 0,
    returnedBytes: kind === 'hand-on' ? tokenBytes(layout) : 0,
  };
}
