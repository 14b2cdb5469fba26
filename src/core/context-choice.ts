import { Refused } from '../errors.js';
import { BLOCK_TOKENS, PROMPT_TOKENS } from '../limits.js';
import { type KvLayout, statesBytes, tokenBytes } from './kv-layout.js';
import { type RunDemand, runBytes } from './run-memory.js';

/** Chooses the longest sequence of a worker, and says why. */

/** The default where the amount of free memory is not known, as on a GPU. */
const UNKNOWN_MEMORY_TOKENS = 4096;

export interface ContextDemand {
  /** The value of --context; null for the default. */
  readonly askedTokens: number | null;
  /** The limit of the model. */
  readonly modelTokens: number;
  readonly sequences: number;
  readonly layout: KvLayout;
  /** What a run takes beside weights and the K/V of sequences. One run computes at a time. */
  readonly run: RunDemand;
  /** Memory for the K/V of running sequences, and for a run; null if it is not known. */
  readonly freeBytes: number | null;
}

export interface ContextChoice {
  readonly tokens: number;
  /** For the log and `GET /v1/fleet`. */
  readonly why: string;
}

/**
 * The longest sequence: as asked, else what the model allows, but no more than fits into memory if all sequences are that long.
 * @throws Refused if the requested length does not fit, or if not even one block fits
 */
export function chooseContext(demand: ContextDemand): ContextChoice {
  const { askedTokens, sequences, layout, run, freeBytes } = demand;
  const modelTokens = Math.min(demand.modelTokens, PROMPT_TOKENS);
  const wanted = Math.min(askedTokens ?? modelTokens, modelTokens);
  const wantedWhy =
    askedTokens !== null && askedTokens <= modelTokens ? '--context' : `the model's limit is ${modelTokens} tokens`;
  if (freeBytes === null) {
    if (askedTokens !== null || wanted <= UNKNOWN_MEMORY_TOKENS) return { tokens: wanted, why: wantedWhy };
    const why = `the default where free memory is not known; the model's limit is ${modelTokens} tokens`;
    return { tokens: UNKNOWN_MEMORY_TOKENS, why };
  }
  // A run reads the states of a sequence and writes others.
  const leftBytes = Math.max(0, freeBytes - (sequences + 1) * statesBytes(layout));
  const kvBytes = (tokens: number) => tokens * sequences * tokenBytes(layout);
  const fits = (tokens: number) => kvBytes(tokens) + runBytes(run, tokens) <= leftBytes;
  if (fits(wanted)) return { tokens: wanted, why: wantedWhy };
  const fitting = mostTokens(wanted, fits);
  const needs = (tokens: number) =>
    `${sequences} sequences of ${tokens} tokens need ${mebibytes(kvBytes(tokens))} and a run ${mebibytes(runBytes(run, tokens))}`;
  const left = `${mebibytes(leftBytes)} of memory are left beside weights${layout.states === undefined ? '' : ', states'} and caches`;
  if (askedTokens === null && fitting >= BLOCK_TOKENS) {
    return {
      tokens: fitting,
      why: `what fits into memory: ${needs(fitting)}, ${left}; the model's limit is ${modelTokens} tokens`,
    };
  }
  const remedy = 'fewer --sequences, a smaller --cache-bytes or more --memory';
  const advice = fitting >= BLOCK_TOKENS ? `a --context of at most ${fitting}, ${remedy}` : remedy;
  throw new Refused(`--context: ${needs(askedTokens === null ? BLOCK_TOKENS : wanted)}, but ${left}; set ${advice}`);
}

/** The greatest number of whole blocks' tokens that fits; `limit` does not. */
function mostTokens(limit: number, fits: (tokens: number) => boolean): number {
  let [fitting, tooMany] = [0, Math.ceil(limit / BLOCK_TOKENS)];
  while (tooMany - fitting > 1) {
    const middle = Math.floor((fitting + tooMany) / 2);
    if (fits(middle * BLOCK_TOKENS)) fitting = middle;
    else tooMany = middle;
  }
  return fitting * BLOCK_TOKENS;
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`;
}
