import { NO_SPAN, type Span } from '../trace/span.js';
import type { PromptTokens } from './observer.js';
import type { SequenceState } from './sequence.js';

/** The record of one sequence: its spans in a trace, and the figures for its log line. */

/** The part of the trace that each state belongs to. A sequence waits while its prefix is loaded. */
const PARTS: Record<SequenceState['name'], string | null> = {
  waiting: 'shoal.queue',
  preparing: 'shoal.queue',
  ready: 'shoal.queue',
  prefilling: 'shoal.prefill',
  decoding: 'shoal.decode',
  ended: null,
};

/** Follows the states of one sequence. */
export class SequenceRecord {
  /** Null before the prefix is in the slot. */
  prompt: PromptTokens | null = null;
  queueMs: number | null = null;
  firstTokenMs: number | null = null;
  /** Of the end event; null without one. */
  reason: 'stop' | 'length' | null = null;
  private name: string | null = null;
  private part: Span = NO_SPAN;

  /** @param span of the request on this worker */
  constructor(readonly span: Span) {
    this.entered('waiting');
  }

  /** The present part, for parts of it. */
  get current(): Span {
    return this.part;
  }

  entered(state: SequenceState['name']): void {
    const name = PARTS[state];
    if (name === this.name) return;
    this.part.end();
    this.name = name;
    this.part = name === null ? NO_SPAN : this.span.child(name);
  }

  /** Ends the record. `error`: why the sequence failed or was cancelled; null if it was not. */
  ended(generatedTokens: number, error: unknown): void {
    this.entered('ended');
    this.span.set({ 'gen_ai.usage.output_tokens': generatedTokens });
    if (this.reason !== null) this.span.set({ 'gen_ai.response.finish_reasons': [this.reason] });
    this.span.end(error);
  }

  started(prompt: PromptTokens, queueMs: number): void {
    this.prompt = prompt;
    this.queueMs = queueMs;
    this.span.set({
      'shoal.cached.local': prompt.local,
      'shoal.cached.remote': prompt.remote,
      'shoal.computed': prompt.computed,
    });
  }
}
