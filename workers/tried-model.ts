import type { GraphTrial } from '../src/core/graph-trial.js';
import { dependenceNotice } from '../src/core/kv-dependence.js';
import type { Device } from '../src/device/device.js';
import type { MakeRunner } from '../src/engine/graph-runner.js';
import type { ModelGraph } from '../src/engine/model-graph.js';
import { chooseRunner } from '../src/engine/runner-choice.js';
import { speculationNotice } from '../src/engine/speculation.js';
import { requireCarriedStates, trialNotice } from '../src/engine/trial-run.js';
import type { Log } from '../src/log.js';

/** Tries a model before the worker serves it, and logs what follows from it. */

export interface TriedModel {
  readonly makeRunner: MakeRunner;
  /** Null if it was not tried. */
  readonly trial: GraphTrial | null;
}

/** Tries the model, and logs what its numbers depend on, and how it is run because of it. */
export async function tryModel(graph: ModelGraph, device: Device, chunkTokens: number, log: Log): Promise<TriedModel> {
  const { trial, makeRunner, notice: alone } = await chooseRunner(graph, device, chunkTokens);
  if (alone !== null) log.warn({}, alone);
  requireCarriedStates(trial, device.layout);
  const notice = trialNotice(trial, device.layout);
  if (notice === null) log.info({ trial }, 'tried the model');
  else log.error({ trial }, notice);
  return { trial, makeRunner };
}

/** Logs how the model runs, if its K/V is not a function of the prefix alone. */
export function logDependence({ dependence }: ModelGraph, log: Log): void {
  const notice = dependenceNotice(dependence);
  if (notice !== null) log.warn({ kvDependence: dependence }, notice);
}

/** How many tokens may be guessed at a time. Logs why none are where the options ask for some. */
export function draftTokensOf(graph: ModelGraph, trial: GraphTrial | null, draftTokens: number, log: Log): number {
  const notice = draftTokens === 0 ? null : speculationNotice(graph, trial, graph.layout);
  if (notice === null) return draftTokens;
  log.warn({}, notice);
  return 0;
}
