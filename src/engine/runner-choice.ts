import type { GraphTrial } from '../core/graph-trial.js';
import type { Device } from '../device/device.js';
import { runnerOf } from './engine.js';
import type { MakeRunner } from './graph-runner.js';
import { InPlaceRunner } from './in-place-runner.js';
import type { ModelGraph } from './model-graph.js';
import { batchesDiffer, trialRun } from './trial-run.js';

/** Chooses by a trial how a graph is run: several sequences together, or one by one. */

/** A way to run a graph, and its trial. */
export interface RunnerChoice {
  readonly makeRunner: MakeRunner;
  readonly trial: GraphTrial;
  /** Explains why sequences run one by one, and the cost; null if they run together, or if the graph has no other way. */
  readonly notice: string | null;
}

/**
 * Whether only a trial tells if this graph is right as it is run: it may not carry its states from run to run, or it may give the rows of a batch
 * the positions of the longest one.
 */
export function needsTrial({ kind, layout, readsMask }: Pick<ModelGraph, 'kind' | 'layout' | 'readsMask'>): boolean {
  return layout.states !== undefined || (kind === 'in-place' && readsMask);
}

const ALONE: MakeRunner = (graph, device, chunkTokens) => new InPlaceRunner(graph, device, chunkTokens, 'alone');

/**
 * Tries a graph with several sequences in a run. If a sequence has other numbers there than alone, as in graphs that give the rows of a batch
 * the positions of the longest one, tries it with sequences one by one.
 * @param chunkTokens the engine's greatest number of prompt tokens in one run
 * @throws Refused if the device cannot run the graph
 */
export async function chooseRunner(graph: ModelGraph, device: Device, chunkTokens?: number): Promise<RunnerChoice> {
  const tried = (makeRunner: MakeRunner) =>
    trialRun(graph, device, (runTokens) => makeRunner(graph, device, runTokens), chunkTokens);
  const together = await tried(runnerOf);
  if (graph.kind !== 'in-place' || !batchesDiffer(together, device.layout)) {
    return { makeRunner: runnerOf, trial: together, notice: null };
  }
  return {
    makeRunner: ALONE,
    trial: await tried(ALONE),
    notice: `this graph computes a sequence differently beside others than alone (log-probabilities differ by ${together.batch!.toPrecision(2)}): sequences are computed one by one, so that concurrent requests share no run; an export with the input position_ids has no such limit`,
  };
}
