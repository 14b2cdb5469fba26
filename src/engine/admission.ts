import type { BlockMeta } from '../core/block.js';
import { blockKeys, type KeySeed, rootSeed, unpackKeys } from '../core/key.js';
import { InvalidRequest, Refused } from '../errors.js';
import { type GenerateRequest, unpackTokens } from '../protocol/generate.js';

/** What an engine can take. */
export interface AdmissionBounds {
  readonly fingerprint: string;
  readonly vocab: number;
  readonly contextTokens: number;
  readonly blockTokens: number;
}

/** A request that was found right. */
export interface AdmittedRequest {
  readonly request: GenerateRequest;
  /** Prompt, and what was generated before. */
  readonly tokens: Uint32Array;
  /** Of the names of its blocks, those of the answer too. */
  readonly seed: KeySeed;
  readonly blocks: readonly BlockMeta[];
}

/**
 * Checks all of a request that its decoding could not.
 * @throws Refused if it is meant for another fleet
 * @throws InvalidRequest naming the field
 */
export function admit(request: GenerateRequest, bounds: AdmissionBounds): AdmittedRequest {
  if (request.fingerprint !== bounds.fingerprint) {
    throw new Refused(
      `the request is for the fleet with fingerprint ${request.fingerprint}, this worker has ${bounds.fingerprint}: both must run the same model and version`,
    );
  }
  const tokens = unpackTokens(request.tokens);
  checkTokens(tokens, request, bounds);
  for (const [id] of request.sampling.logitBias) {
    if (id >= bounds.vocab) {
      throw new InvalidRequest(
        `logit_bias names token ${id}, the model's vocabulary has ${bounds.vocab} tokens`,
        'logit_bias',
      );
    }
  }
  const seed = rootSeed({ fingerprint: bounds.fingerprint, adapter: '', salt: request.salt });
  return { request, tokens, seed, blocks: checkedBlocks(request.keys, tokens, seed, bounds.blockTokens) };
}

function checkTokens(
  tokens: Uint32Array,
  { resumeTokens, stopping }: GenerateRequest,
  { vocab, contextTokens }: AdmissionBounds,
): void {
  if (tokens.length - resumeTokens < 1) throw new InvalidRequest('the prompt has no tokens', 'prompt');
  // Where no answer is wanted, the log-probabilities of the prompt may be.
  const least = Math.min(1, stopping.maxTokens);
  if (tokens.length + least > contextTokens) {
    throw new InvalidRequest(
      `the prompt has ${tokens.length} tokens, the model's context is ${contextTokens}, of which ${least} must be left for the answer`,
      'prompt',
    );
  }
  for (const id of tokens) {
    if (id >= vocab) {
      throw new InvalidRequest(`the prompt has token ${id}, the model's vocabulary has ${vocab} tokens`, 'prompt');
    }
  }
}

/** A wrong key would give other prompts this one's K/V. */
function checkedBlocks(keys: Uint8Array, tokens: Uint32Array, seed: KeySeed, blockTokens: number): BlockMeta[] {
  const given = unpackKeys(keys);
  const blocks = blockKeys(tokens, seed, blockTokens);
  if (blocks.length !== given.length) {
    throw new InvalidRequest(
      `${tokens.length} tokens are ${blocks.length} full blocks of ${blockTokens}, but ${given.length} keys came with them`,
      'keys',
    );
  }
  const wrong = blocks.findIndex(({ key }, index) => key !== given[index]);
  if (wrong !== -1)
    throw new InvalidRequest(`key ${wrong} is not that of its tokens after the block before it`, 'keys');
  return blocks;
}
