import type { TokenLogprobs } from '../../protocol/generate.js';
import type { ConstraintCursor } from '../constraint/cursor.js';
import { Adjustment, type AdjustmentSettings } from './adjustment.js';
import { logprobsOf } from './logprobs.js';
import { uniformAt } from './philox.js';
import type { SamplingScratch } from './scratch.js';
import { argmax, choose, type SelectionSettings } from './selection.js';
import { checkTokenLeft, type TokenRuleSettings, TokenRules } from './token-rules.js';

/** Chooses the tokens of one sequence: adjusts logits, samples, computes log-probabilities. */

export interface SamplerSettings extends SelectionSettings, AdjustmentSettings, TokenRuleSettings {
  readonly seed: number;
  /** The number of alternatives per token; null is off. */
  readonly logprobs: number | null;
  /** The alternatives, in place of the most likely tokens. */
  readonly logprobTokens?: readonly number[] | undefined;
}

export interface Sampled {
  readonly token: number;
  readonly logprobs: TokenLogprobs | null;
}

/** A deterministic sampler: its choices depend only on the settings, the earlier tokens and the logits. */
export class Sampler {
  private readonly settings: SamplerSettings;
  private readonly adjustment: Adjustment;
  private readonly rules: TokenRules;
  private readonly scratch: SamplingScratch;

  /**
   * @param generated tokens that another worker has generated; they count for penalties and the minimum length
   * @param scratch may be shared by samplers that do not run concurrently
   * @param constraint restricts the choices; null for none
   */
  constructor(
    settings: SamplerSettings,
    prompt: ArrayLike<number>,
    generated: ArrayLike<number>,
    scratch: SamplingScratch,
    private readonly constraint: ConstraintCursor | null = null,
  ) {
    this.settings = settings;
    this.adjustment = new Adjustment(settings, prompt, generated);
    this.rules = new TokenRules(settings, generated);
    this.scratch = scratch;
  }

  /** The number of generated tokens, including tokens from another worker. */
  get generated(): number {
    return this.adjustment.generated;
  }

  /**
   * Chooses the next token.
   * @param logits `[vocab]`, raw; not changed
   * @param position the position of the new token in its sequence, prompt included
   * @throws InternalError if the logits are not a distribution
   * @throws InvalidRequest if the settings leave no token to choose
   */
  next(logits: Float32Array, position: number): Sampled {
    const { temperature, seed, logprobs, logprobTokens } = this.settings;
    const adjusted = this.adjusted(logits);
    const token =
      temperature === 0 ? argmax(adjusted) : choose(adjusted, this.settings, uniformAt(seed, position), this.scratch);
    this.adjustment.count(token);
    this.rules.count(token);
    return { token, logprobs: logprobs === null ? null : logprobsOf(logits, token, logprobTokens ?? logprobs) };
  }

  /** Notes that the token of the last `next` belongs to the answer. Returns whether the answer can continue. */
  keep(token: number): boolean {
    this.constraint?.advance(token);
    return !this.constraint?.exhausted;
  }

  private adjusted(logits: Float32Array): Float32Array {
    if (!this.adjustment.active && !this.rules.active && this.constraint === null) return logits;
    // Checks the raw logits, because an adjustment could hide an invalid one.
    argmax(logits);
    const copy = this.scratch.logits;
    copy.set(logits);
    this.adjustment.apply(copy);
    this.rules.apply(copy);
    this.constraint?.restrict(copy);
    if (this.rules.active) checkTokenLeft(copy);
    return copy;
  }
}
