import type { FleetEvent } from '../fleet.js';
import type { AnswerAccount } from './answer-account.js';
import type { FinishReason } from './choice.js';
import type { ChoicePlan } from './plan.js';

type Start = Extract<FleetEvent, { type: 'start' }>;

/** Counts the usage of one answer. */

/** OpenAI's `usage`, with shoal's own numbers. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
  /** Absent if the model did not reason. */
  readonly completion_tokens_details?: { readonly reasoning_tokens: number };
  readonly shoal: ShoalUsage;
}

interface ShoalUsage {
  /** Worker of the first choice. */
  readonly worker: string | null;
  /** Prompt tokens by the source of their K/V, over all choices. */
  readonly cached: { readonly local: number; readonly remote: number; readonly computed: number };
  /** Time from the arrival of the request to the first token of any choice. */
  readonly ttft_ms: number;
  /** Longest wait of a choice in its worker's queue. */
  readonly queue_ms: number;
  /** Unknown fields of the request; absent if there are none. */
  readonly ignored?: readonly string[];
}

export class Tally {
  private readonly choices: readonly ChoicePlan[];
  private readonly starts = new Map<number, Start>();
  private readonly finishes = new Map<number, FinishReason>();
  private completionTokens = 0;
  private reasoningTokens = 0;
  private firstTokenMs: number | null = null;

  /** @param ignored unknown fields of the request */
  constructor(
    choices: readonly ChoicePlan[],
    private readonly ignored: readonly string[] = [],
  ) {
    this.choices = choices;
  }

  /** Records the start of a choice on its worker. A later start of the same choice replaces it. */
  recordStart(index: number, start: Start): void {
    this.starts.set(index, start);
  }

  /** Records generated tokens, `ms` after the arrival of the request. Returns whether they are the first of the answer. */
  recordTokens(tokens: number, ms: number): boolean {
    const first = this.firstTokenMs === null && tokens > 0;
    if (first) this.firstTokenMs = ms;
    this.completionTokens += tokens;
    return first;
  }

  /** Records how many of the generated tokens were reasoning. */
  recordReasoning(tokens: number): void {
    this.reasoningTokens += tokens;
  }

  /** Records how a choice has ended. */
  recordFinish(index: number, reason: FinishReason): void {
    this.finishes.set(index, reason);
  }

  /** For the log and for traces. @param names of the answer: for its client, and for the workers */
  account(names: Pick<AnswerAccount, 'answerId' | 'sequenceId'>): AnswerAccount {
    const { worker, cached, queue_ms: queueMs } = this.usage.shoal;
    const ttftMs = this.firstTokenMs === null ? null : round(this.firstTokenMs);
    const finish = [...this.finishes].toSorted(([a], [b]) => a - b).map(([, reason]) => reason);
    return { ...names, worker, cached, ttftMs, queueMs, generatedTokens: this.completionTokens, finish };
  }

  get usage(): Usage {
    const starts = [...this.starts.values()];
    const sum = (part: (start: Start) => number) => starts.reduce((total, start) => total + part(start), 0);
    // A prompt and its cached tokens count once, however many choices it has.
    const leaders = this.choices.filter((c, i, all) => i === 0 || all[i - 1]!.promptIndex !== c.promptIndex);
    const promptTokens = leaders.reduce((total, { request }) => total + request.tokens.length, 0);
    const cachedTokens = leaders.reduce((total, { index }) => total + cachedOf(this.starts.get(index)), 0);
    return {
      prompt_tokens: promptTokens,
      completion_tokens: this.completionTokens,
      total_tokens: promptTokens + this.completionTokens,
      prompt_tokens_details: { cached_tokens: cachedTokens },
      ...(this.reasoningTokens > 0 ? { completion_tokens_details: { reasoning_tokens: this.reasoningTokens } } : {}),
      shoal: {
        worker: this.starts.get(0)?.worker ?? starts[0]?.worker ?? null,
        cached: {
          local: sum((s) => s.cached.local),
          remote: sum((s) => s.cached.remote),
          computed: sum((s) => s.cached.computed),
        },
        ttft_ms: round(this.firstTokenMs ?? 0),
        queue_ms: round(Math.max(0, ...starts.map((s) => s.queueMs))),
        ...(this.ignored.length > 0 ? { ignored: this.ignored } : {}),
      },
    };
  }
}

function cachedOf(start: Start | undefined): number {
  return start === undefined ? 0 : start.cached.local + start.cached.remote;
}

/** Rounds to microseconds. */
function round(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
