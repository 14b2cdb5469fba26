import { Rate } from './rate.js';

/**
 * Prompt tokens that are computed before the speed of prefill is measured. The first runs are slower: memory is allocated, code is compiled, and
 * other processes start at the same time.
 */
const WARM_UP_TOKENS = 2_048;

/** The speed at which prompts are computed. */
export class PrefillRate extends Rate {
  private warmUpTokens = WARM_UP_TOKENS;

  /** @param leastTokens a run of fewer tokens takes about as long as one of many, and says little about the time of a token */
  constructor(private readonly leastTokens: number) {
    super();
  }

  /** Adds a run, unless it says little about the speed. */
  override add(ms: number, tokens: number, atMs: number): void {
    if (tokens < this.leastTokens) return;
    this.warmUpTokens -= tokens;
    if (this.warmUpTokens < 0) super.add(ms, tokens, atMs);
  }
}
