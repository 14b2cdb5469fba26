import { newRequestId, streamAnswer } from '../chat/stream-answer.js';
import type { FeedConnection } from '../feed/connection.js';
import { Store } from '../feed/store.js';
import { type Api, ApiFailure } from '../session/api.js';
import { AnswerCheck, type AnswerCounts, type CheckedPrompt } from './answer-check.js';
import { corruptWorkers } from './disturbances.js';
import { type FreshPrefix, FreshPrefixes } from './fresh-prefix.js';

/** Sends requests without a pause, and checks the answers, until stopped. It goes on while the reader is on another page. */

/** Requests at a time. */
const ASKERS = 4;
/** Pause after a request that failed, so that a fleet that is away is not flooded. */
const PAUSE_MS = 500;

export interface AskingState {
  readonly running: boolean;
  readonly counts: AnswerCounts;
  /** Why the last request failed that did; null if none has. */
  readonly problem: string | null;
}

export class SteadyAsking {
  readonly state = new Store<AskingState>({ running: false, counts: new AnswerCheck().counts, problem: null });
  private readonly prefixes = new FreshPrefixes(newRequestId);
  private stopping: AbortController | null = null;

  constructor(
    private readonly api: Api,
    private readonly feed: Pick<FeedConnection, 'model' | 'now'>,
  ) {}

  start(): void {
    this.stop();
    const stopping = new AbortController();
    this.stopping = stopping;
    const check = new AnswerCheck();
    this.state.set({ running: true, counts: check.counts, problem: null });
    for (let asker = 0; asker < ASKERS; asker++) void this.askOn(check, stopping.signal);
  }

  stop(): void {
    this.stopping?.abort();
    this.state.update((state) => ({ ...state, running: false }));
  }

  private async askOn(check: AnswerCheck, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const failure = await this.askOnce(check, signal);
      if (signal.aborted) return;
      this.state.update((state) => ({ ...state, counts: check.counts, problem: failure ?? state.problem }));
      if (failure !== null) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  /** Gives the reason if the request failed. */
  private async askOnce(check: AnswerCheck, signal: AbortSignal): Promise<string | null> {
    const checked = check.next();
    const prefix = this.prefix();
    const ask = (worker: string | null) => this.answer(checked, { ...prefix, worker }, signal);
    try {
      // A named worker may be gone by then, which is no fault of the fleet.
      const { pieces, tokens } = await ask(prefix.worker).catch((error: unknown) => {
        const isGone = error instanceof ApiFailure && error.status === 503;
        if (prefix.worker === null || signal.aborted || !isGone) throw error;
        return ask(null);
      });
      check.answered(checked, pieces, tokens);
      return null;
    } catch (error) {
      if (!signal.aborted) check.failed();
      return (error as Error).message;
    }
  }

  private prefix(): FreshPrefix {
    const { hello, workers, happened } = this.feed.model.value;
    const now = this.feed.now();
    const serving = [...workers.values()].filter(({ state }) => state === 'serving').map(({ id }) => id);
    const corrupt = hello?.routing === true ? corruptWorkers(happened, now) : [];
    const senders = serving.filter((id) => corrupt.includes(id));
    const others = serving.filter((id) => !corrupt.includes(id));
    return this.prefixes.next(now, senders, others);
  }

  private async answer({ prompt }: CheckedPrompt, { salt, worker }: FreshPrefix, signal: AbortSignal) {
    const body = { prompt, max_tokens: 16, temperature: 0, stop: ['\n'], cache_salt: salt };
    const pieces: string[] = [];
    const question = { path: '/v1/completions' as const, body, worker, request: newRequestId() };
    const end = await streamAnswer(this.api, question, signal, (piece) => pieces.push(piece));
    return { pieces, tokens: end?.tokens ?? 0 };
  }
}
