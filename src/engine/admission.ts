import type { BlockMeta } from '../core/block.js';
import { blockKeys, type KeySeed, rootSeed } from '../core/key.js';
import { adapterOf, type KvDependence, type Regime, regimeOf } from '../core/kv-dependence.js';
import type { Salt } from '../core/salt.js';
import { InvalidRequest, Refused } from '../errors.js';
import type { AdapterRef } from '../protocol/adapter.js';
import { type GenerateRequest, type Sampling, unpackTokens } from '../protocol/generate.js';

/** Checks a request when it arrives at the engine. */

/** The properties of the engine that a request must fit. */
export interface AdmissionBounds {
  readonly fingerprint: string;
  readonly vocab: number;
  readonly contextTokens: number;
  readonly blockTokens: number;
  readonly dependence: KvDependence;
  /** The longest prompt whose log-probabilities fit one run; null if a prompt may have several runs. */
  readonly promptLogprobsTokens: number | null;
  /** Whether the graph takes adapters. */
  readonly adapters: boolean;
  /** Whether the graph computes the logits of the last position of a prompt alone. */
  readonly lastLogitsOnly: boolean;
}

/** A sequence's tokens under the keys of its blocks. */
export interface KeyedTokens {
  readonly regime: Regime;
  /** Seeds the keys of its blocks, including the answer's. */
  readonly seed: KeySeed;
  /** Its full blocks. Their keys are computed here, from the tokens: a wrong key would give other prompts the K/V of this one. */
  readonly blocks: readonly BlockMeta[];
}

/** A request that passed all checks. */
export interface AdmittedRequest extends KeyedTokens {
  readonly request: GenerateRequest;
  /** The prompt, and tokens that another worker has generated. */
  readonly tokens: Uint32Array;
}

/**
 * Makes the checks that the message's schema cannot: fingerprint, token ids, length, block keys.
 * @throws Refused if the request is for another fleet
 * @throws InvalidRequest naming the field
 */
export function admit(request: GenerateRequest, bounds: AdmissionBounds): AdmittedRequest {
  if (request.fingerprint !== bounds.fingerprint) {
    throw new Refused(
      `cannot run a request for the fleet with fingerprint ${request.fingerprint}: this worker has fingerprint ${bounds.fingerprint}; run the same model and version everywhere`,
    );
  }
  if (request.adapter !== undefined && !bounds.adapters) {
    throw new InvalidRequest(
      `model: cannot run the adapter ${request.adapter.name}: the graph of this model takes none`,
      'model',
    );
  }
  const tokens = unpackTokens(request.tokens);
  checkTokens(tokens, request, bounds);
  checkSampling(request.sampling, bounds.vocab);
  return { request, tokens, ...keyTokens(tokens, request, bounds) };
}

function checkSampling({ logitBias, allowed, banned = [], logprobTokens = [] }: Sampling, vocab: number): void {
  const named = {
    logit_bias: logitBias.map(([id]) => id),
    allowed_token_ids: allowed === undefined ? [] : [...unpackTokens(allowed)],
    bad_words: banned.flat(),
    logprob_token_ids: logprobTokens,
  };
  for (const [param, ids] of Object.entries(named)) {
    const wrong = ids.find((id) => id >= vocab);
    if (wrong === undefined) continue;
    throw new InvalidRequest(
      `${param}: token ${wrong} is not in the model's vocabulary; ids are 0 to ${vocab - 1}`,
      param,
    );
  }
}

/** The inputs of a sequence's keys besides its tokens and its length. */
export interface KeyContext {
  readonly salt: Salt;
  readonly adapter?: AdapterRef | undefined;
}

/** Computes the keys of a sequence's full blocks. */
export function keyTokens(tokens: Uint32Array, { salt, adapter }: KeyContext, bounds: AdmissionBounds): KeyedTokens {
  const regime = regimeOf(bounds.dependence, tokens.length);
  const seed = rootSeed({
    fingerprint: bounds.fingerprint,
    adapter: adapterOf(regime, adapter?.fingerprint),
    salt,
  });
  return { regime, seed, blocks: blockKeys(tokens, seed, bounds.blockTokens) };
}

function checkTokens(
  tokens: Uint32Array,
  { resumeTokens, sampling, stopping }: GenerateRequest,
  { vocab, contextTokens, promptLogprobsTokens, lastLogitsOnly }: AdmissionBounds,
): void {
  if (tokens.length - resumeTokens < 1) throw new InvalidRequest('prompt: must have at least one token', 'prompt');
  // maxTokens is 0 if only the log-probabilities of the prompt are requested.
  const least = Math.min(1, stopping.maxTokens);
  if (tokens.length + least > contextTokens) {
    throw new InvalidRequest(
      `prompt: has ${tokens.length} tokens; the model's context of ${contextTokens} tokens must leave ${least} for the answer`,
      'prompt',
    );
  }
  if (sampling.promptLogprobs && lastLogitsOnly) {
    throw new InvalidRequest(
      'logprobs: the prompt has none: the graph of this model computes the logits of the last token alone (a pruned head); leave out echo or logprobs, or export it without pruning',
      'logprobs',
    );
  }
  if (sampling.promptLogprobs && promptLogprobsTokens !== null && tokens.length > promptLogprobsTokens) {
    throw new InvalidRequest(
      `prompt: has ${tokens.length} tokens; log-probabilities of this model's prompts are available up to ${promptLogprobsTokens} tokens, because it computes each prompt in one run`,
      'prompt',
    );
  }
  for (const id of tokens) {
    if (id >= vocab) {
      throw new InvalidRequest(
        `prompt: token ${id} is not in the model's vocabulary; ids are 0 to ${vocab - 1}`,
        'prompt',
      );
    }
  }
}
