import type { Device } from '../device/device.js';
import { runnerOf } from './engine.js';
import { forcedRun } from './forced-run.js';
import type { GraphRunner, MakeRunner } from './graph-runner.js';
import { HandOnRunner } from './hand-on-runner.js';
import type { ModelGraph } from './model-graph.js';
import { type Reference, ReferenceCheck, type ReferenceComparison } from './reference.js';
import { longestRun } from './run-plan.js';
import { apart, idsOf, ROUNDING, trialRun, WAYS } from './trial-run.js';

/** Checks a model: whether its numbers are the same however it is run, and the same as another program's. */

/** How far two ways to compute the same numbers are apart. */
export interface WayCheck {
  /** The description of the two ways. */
  readonly way: string;
  /** The greatest difference of log-probabilities of likely tokens; null if the device or the graph cannot do the second way. */
  readonly difference: number | null;
  readonly agrees: boolean;
}

/** Tokens of a prompt that run together. */
const CHUNK_TOKENS = 512;
/** Tokens of the prompt and of the answer with which hand-on is compared. */
const HAND_ON_PROMPT = 24;
const HAND_ON_ANSWER = 4;

/** The greatest difference of log-probabilities that rounding explains. */
export function roundingOf({ layout }: Pick<ModelGraph, 'layout'>): number {
  return ROUNDING[layout.elementType];
}

/**
 * Compares the ways in which the engine may compute the same numbers.
 * @param device with memory for a block and for two sequences of a block and some more tokens
 * @throws Refused if the device cannot run the graph
 */
export async function checkWays(graph: ModelGraph, device: Device): Promise<WayCheck[]> {
  const trial = await trialRun(graph, device, (runTokens) => runnerOf(graph, device, runTokens));
  const most = roundingOf(graph);
  const check = (way: string, difference: number | null): WayCheck => ({
    way,
    difference,
    // NaN agrees with nothing.
    agrees: difference === null || difference <= most,
  });
  const ways = Object.entries(WAYS).map(([name, way]) => check(way, trial[name as keyof typeof WAYS]));
  return [...ways, check('K/V appended in place and handed on from run to run', await handedOn(graph, device))];
}

/** The difference between the two kinds of runner. Null for a graph that can only hand on. */
async function handedOn(graph: ModelGraph, device: Device): Promise<number | null> {
  if (graph.kind === 'hand-on') return null;
  const answerTokens = Math.min(HAND_ON_ANSWER, graph.contextTokens - 1);
  const ids = idsOf(Math.min(HAND_ON_PROMPT + answerTokens, graph.contextTokens), graph.vocab);
  const text = { prompt: ids.subarray(0, ids.length - answerTokens), answer: ids.subarray(ids.length - answerTokens) };
  const logitsBy = (make: MakeRunner) =>
    withRunner(graph, device, make, async (runner) => {
      const rows: Float32Array[] = [];
      await forcedRun(graph, device, runner, text, HAND_ON_PROMPT, (_, logits) => rows.push(logits.slice()));
      return rows;
    });
  const inPlace = await logitsBy(runnerOf);
  const handOn = await logitsBy((...options) => new HandOnRunner(...options));
  return Math.max(...inPlace.map((logits, i) => apart(logits, handOn[i]!)));
}

/** The tokens of the longest text of a reference. */
export function referenceTokens(reference: Reference): number {
  return Math.max(...reference.texts.map(({ tokens, answer }) => tokens.length + answer.length));
}

/**
 * Compares the tokenizer and the model with a reference.
 * @param encode the model's tokenizer, with the tokens that it adds around a text
 * @param device with room for the longest text
 */
export function checkReference(
  graph: ModelGraph,
  device: Device,
  reference: Reference,
  encode: (text: string) => readonly number[],
): Promise<ReferenceComparison> {
  return withRunner(graph, device, runnerOf, async (runner) => {
    const check = new ReferenceCheck(reference, roundingOf(graph));
    for (const text of reference.texts) {
      if (text.prompt !== undefined) check.takeTokens(text, encode(text.prompt));
      const ids = { prompt: Uint32Array.from(text.tokens), answer: Uint32Array.from(text.answer) };
      await forcedRun(graph, device, runner, ids, chunkTokensOf(graph, device), (index, logits) =>
        check.takeLogits(text, index, logits),
      );
    }
    return check.result;
  });
}

async function withRunner<T>(
  graph: ModelGraph,
  device: Device,
  make: MakeRunner,
  use: (runner: GraphRunner) => Promise<T>,
): Promise<T> {
  const runner = make(graph, device, chunkTokensOf(graph, device));
  try {
    return await use(runner);
  } catch (error) {
    runner.releaseAll();
    throw error;
  } finally {
    runner.close();
  }
}

function chunkTokensOf({ dependence, layout, contextTokens }: ModelGraph, device: Device): number {
  return longestRun(dependence, { ...layout, chunkTokens: CHUNK_TOKENS, contextTokens, device });
}
