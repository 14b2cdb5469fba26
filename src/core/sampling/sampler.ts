import type { TokenLogprobs } from '../../protocol/generate.js';
import { Adjustment, type AdjustmentSettings } from './adjustment.js';
import { logprobsOf } from './logprobs.js';
import { uniformAt } from './philox.js';
import type { SamplingScratch } from './scratch.js';
import { argmax, choose, type SelectionSettings } from './selection.js';

export interface SamplerSettings extends SelectionSettings, AdjustmentSettings {
  readonly seed: number;
  /** Alternatives a token; null is off. */
  readonly logprobs: number | null;
}

export interface Sampled {
  readonly token: number;
  readonly logprobs: TokenLogprobs | null;
}

/** Chooses the tokens of one sequence. What it chooses depends on nothing but the settings, the tokens before, and the logits. */
export class Sampler {
  private readonly settings: SamplerSettings;
  private readonly adjustment: Adjustment;
  private readonly scratch: SamplingScratch;

  /**
   * @param generated tokens that were generated before on another worker; they count for penalties and the minimum length
   * @param scratch may be shared by samplers that are not used at the same time
   */
  constructor(
    settings: SamplerSettings,
    prompt: ArrayLike<number>,
    generated: ArrayLike<number>,
    scratch: SamplingScratch,
  ) {
    this.settings = settings;
    this.adjustment = new Adjustment(settings, prompt, generated);
    this.scratch = scratch;
  }

  /** Tokens generated so far, here and before. */
  get generated(): number {
    return this.adjustment.generated;
  }

  /**
   * The next token.
   * @param logits `[vocab]`, as the model gave them; left as they are
   * @param position of the token to be chosen in its sequence, prompt included
   * @throws InternalError if the logits are no distribution
   */
  next(logits: Float32Array, position: number): Sampled {
    const { temperature, seed, logprobs } = this.settings;
    const adjusted = this.adjusted(logits);
    const token =
      temperature === 0 ? argmax(adjusted) : choose(adjusted, this.settings, uniformAt(seed, position), this.scratch);
    this.adjustment.count(token);
    return { token, logprobs: logprobs === null ? null : logprobsOf(logits, token, logprobs) };
  }

  private adjusted(logits: Float32Array): Float32Array {
    if (!this.adjustment.active) return logits;
    // An adjustment could hide what is wrong with a logit.
    argmax(logits);
    const copy = this.scratch.logits;
    copy.set(logits);
    this.adjustment.apply(copy);
    return copy;
  }
}
