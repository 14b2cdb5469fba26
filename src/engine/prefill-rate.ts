import { Rate } from './rate.js';

/**
 * Prompt tokens that are computed before the speed of prefill is measured. The first runs are slower: memory is allocated, code is compiled, and
 * other processes start at the same time.
 */
const WARM_UP_TOKENS = 2_048;

/** A run of the warm-up. */
interface FirstRun {
  readonly msPerUnit: number;
  readonly endMs: number;
}

/**
 * The speed at which prompts are computed.
 *
 * Where most of each prompt is found in memory, nearly all runs are too short to measure, and the warm-up of the others lasts for hours. Once as many
 * tokens have been computed in runs of any length, the fastest run of that warm-up counts, until a later one is measured.
 */
export class PrefillRate extends Rate {
  private warmUpTokens = WARM_UP_TOKENS;
  /** Until the fastest run of the warm-up counts. */
  private leftTokens = WARM_UP_TOKENS;
  private fastest: FirstRun | null = null;

  /** @param leastTokens a run of fewer tokens takes about as long as one of many, and says little about the time of a token */
  constructor(private readonly leastTokens: number) {
    super();
  }

  /** Adds a run, unless it says little about the speed. */
  override add(ms: number, tokens: number, atMs: number): void {
    this.leftTokens -= tokens;
    if (tokens < this.leastTokens) return;
    this.warmUpTokens -= tokens;
    if (this.warmUpTokens < 0) super.add(ms, tokens, atMs);
    else if (this.fastest === null || ms / tokens < this.fastest.msPerUnit)
      this.fastest = { msPerUnit: ms / tokens, endMs: atMs };
  }

  override get msPerUnit(): number | null {
    return super.msPerUnit ?? this.first?.msPerUnit ?? null;
  }

  override ageMs(nowMs: number): number | null {
    const ageMs = super.ageMs(nowMs);
    return ageMs === null && this.first !== null ? Math.max(0, nowMs - this.first.endMs) : ageMs;
  }

  private get first(): FirstRun | null {
    return this.leftTokens < 0 ? this.fastest : null;
  }
}
