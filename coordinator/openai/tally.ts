import type { FleetEvent } from '../fleet.js';
import type { ChoicePlan } from './plan.js';

type Start = Extract<FleetEvent, { type: 'start' }>;

/** OpenAI's `usage`, and what only shoal can say. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
  readonly shoal: ShoalUsage;
}

interface ShoalUsage {
  /** Of the first choice. */
  readonly worker: string | null;
  /** Prompt tokens by where their K/V came from, over all choices. */
  readonly cached: { readonly local: number; readonly remote: number; readonly computed: number };
  /** From the arrival of the request to the first token of any choice. */
  readonly ttft_ms: number;
  /** The longest that a choice waited for its worker. */
  readonly queue_ms: number;
}

/** Counts what the choices of one answer cost. */
export class Tally {
  private readonly choices: readonly ChoicePlan[];
  private readonly starts = new Map<number, Start>();
  private completionTokens = 0;
  private firstTokenMs: number | null = null;

  constructor(choices: readonly ChoicePlan[]) {
    this.choices = choices;
  }

  /** The last start of a choice counts: it may have begun anew on another worker. */
  started(index: number, start: Start): void {
    this.starts.set(index, start);
  }

  /** `ms` since the request arrived. True if these are the first tokens of the answer. */
  generated(tokens: number, ms: number): boolean {
    const first = this.firstTokenMs === null && tokens > 0;
    if (first) this.firstTokenMs = ms;
    this.completionTokens += tokens;
    return first;
  }

  get usage(): Usage {
    const starts = [...this.starts.values()];
    const sum = (part: (start: Start) => number) => starts.reduce((total, start) => total + part(start), 0);
    // A prompt counts once, however many choices it has; so do those of its tokens that were not computed.
    const leaders = this.choices.filter((c, i, all) => i === 0 || all[i - 1]!.promptIndex !== c.promptIndex);
    const promptTokens = leaders.reduce((total, { request }) => total + request.tokens.length, 0);
    const cachedTokens = leaders.reduce((total, { index }) => total + cachedOf(this.starts.get(index)), 0);
    return {
      prompt_tokens: promptTokens,
      completion_tokens: this.completionTokens,
      total_tokens: promptTokens + this.completionTokens,
      prompt_tokens_details: { cached_tokens: cachedTokens },
      shoal: {
        worker: this.starts.get(0)?.worker ?? starts[0]?.worker ?? null,
        cached: {
          local: sum((s) => s.cached.local),
          remote: sum((s) => s.cached.remote),
          computed: sum((s) => s.cached.computed),
        },
        ttft_ms: round(this.firstTokenMs ?? 0),
        queue_ms: round(Math.max(0, ...starts.map((s) => s.queueMs))),
      },
    };
  }
}

function cachedOf(start: Start | undefined): number {
  return start === undefined ? 0 : start.cached.local + start.cached.remote;
}

/** To the microsecond. */
function round(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
