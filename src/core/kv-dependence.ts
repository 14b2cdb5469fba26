/** The inputs of a token's K/V besides the tokens before it, and their consequence for keys. */

/** Whether equal prefixes have equal K/V. It is a property of the model's graph. */
export type KvDependence =
  /** K/V of a token is a function of the tokens up to it. */
  | { readonly kind: 'prefix' }
  /**
   * Sequences of more than `borderTokens` tokens have other K/V from their first token on, as with LongRoPE, which has one rotary table for
   * short sequences and one for long ones.
   */
  | { readonly kind: 'border'; readonly borderTokens: number }
  /** The numbers of a run depend on all of its tokens, as with dynamic quantization, which derives its scales from a whole run. */
  | { readonly kind: 'run'; readonly reason: string }
  /**
   * Each length of a sequence has K/V of its own, or nobody knows: nothing can be shared. Sequences of more than `limitTokens` tokens are computed
   * wrong by the graph, if that is known.
   */
  | { readonly kind: 'length'; readonly reason: string; readonly limitTokens?: number };

/** The dependence of most graphs. @internal exported for tests. */
export const ON_PREFIX: KvDependence = { kind: 'prefix' };

/** The side of the border on which a sequence is; `short` where there is no border. */
export type Regime = 'short' | 'long';

/** The regime of a sequence of `tokens` tokens, prompt and answer. */
export function regimeOf(dependence: KvDependence, tokens: number): Regime {
  return dependence.kind === 'border' && tokens > dependence.borderTokens ? 'long' : 'short';
}

/**
 * The adapter field of a sequence's block keys, so that blocks of different adapters and regimes have different keys: `lora:` and the
 * fingerprint of the adapter that the sequence runs with, and `regime:long` for long sequences. Empty without either.
 */
export function adapterOf(regime: Regime, lora: string | null = null): string {
  return [...(lora === null ? [] : [`lora:${lora}`]), ...(regime === 'short' ? [] : ['regime:long'])].join(' ');
}

/** Explains how a model runs whose K/V is not a function of the prefix alone, and the cost. Null for other models. */
export function dependenceNotice(dependence: KvDependence): string | null {
  switch (dependence.kind) {
    case 'prefix':
      return null;
    case 'border':
      return `this model computes sequences of more than ${dependence.borderTokens} tokens differently: they share K/V with each other alone, and a sequence that grows beyond is computed anew`;
    case 'run':
      return `the numbers of this model depend on which tokens run together (${dependence.reason}): prompts are computed block by block and sequences one by one, and K/V of answers is not shared; a model of type q4 has no such limit`;
    case 'length': {
      const limit =
        dependence.limitTokens === undefined ? '' : `; sequences have at most ${dependence.limitTokens} tokens`;
      return `the K/V of this model depends on the length of the sequence (${dependence.reason}): nothing is shared, each prompt is computed in one run, and sequences are computed one by one${limit}`;
    }
  }
}
