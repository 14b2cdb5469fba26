/** Adjusts logits before a token is chosen: minimum length, bias, penalties. */
export interface AdjustmentSettings {
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  /** 1 is off. */
  readonly repetitionPenalty: number;
  /** Pairs of a token id and a number to add to its logit. */
  readonly logitBias: readonly (readonly [number, number])[];
  /** `endIds` cannot be chosen before this many tokens are generated. */
  readonly minTokens: number;
  /** Tokens that end the sequence. */
  readonly endIds: readonly number[];
}

/**
 * The adjustments of one sequence, with its token counts. They apply in vLLM's order: minimum length, bias, repetition penalty (Keskar et
 * al., "CTRL", 2019; over prompt and answer), frequency and presence penalties (OpenAI; over the answer only).
 */
export class Adjustment {
  private readonly settings: AdjustmentSettings;
  private readonly counts = new Map<number, number>();
  private readonly seen: Set<number> | null;
  private _generated = 0;

  /** @param generated tokens that another worker has generated */
  constructor(settings: AdjustmentSettings, prompt: ArrayLike<number>, generated: ArrayLike<number>) {
    this.settings = settings;
    this.seen = settings.repetitionPenalty === 1 ? null : new Set(Array.from(prompt));
    for (let i = 0; i < generated.length; i++) this.count(generated[i]!);
  }

  /** Whether `apply` may change the logits of the next token. */
  get active(): boolean {
    const { logitBias } = this.settings;
    return this.tooShort || logitBias.length > 0 || this.seen !== null || (this.penalizesAnswer && this._generated > 0);
  }

  /** The number of generated tokens, including tokens from another worker. */
  get generated(): number {
    return this._generated;
  }

  /** Adjusts the logits of the next token in place. */
  apply(logits: Float32Array): void {
    const { presencePenalty, frequencyPenalty, repetitionPenalty, logitBias, endIds } = this.settings;
    if (this.tooShort) for (const id of endIds) logits[id] = Number.NEGATIVE_INFINITY;
    for (const [id, bias] of logitBias) logits[id]! += bias;
    if (this.seen !== null) {
      for (const id of this.seen) {
        const logit = logits[id]!;
        logits[id] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
      }
    }
    if (!this.penalizesAnswer) return;
    for (const [id, count] of this.counts) logits[id]! -= frequencyPenalty * count + presencePenalty;
  }

  /** Counts a generated token. */
  count(id: number): void {
    this._generated++;
    if (this.penalizesAnswer) this.counts.set(id, (this.counts.get(id) ?? 0) + 1);
    this.seen?.add(id);
  }

  private get tooShort(): boolean {
    return this._generated < this.settings.minTokens && this.settings.endIds.length > 0;
  }

  private get penalizesAnswer(): boolean {
    return this.settings.presencePenalty !== 0 || this.settings.frequencyPenalty !== 0;
  }
}
