import type { GenerateEvent } from '../src/protocol/generate.js';

/** Passes on the log-probabilities of a prompt's tokens once each, over several attempts. */

type PromptEvent = Extract<GenerateEvent, { type: 'prompt' }>;

/** The log-probabilities of one prompt. Every worker that is asked for them sends them in parts, starting at the first token. */
export class PromptParts {
  private readonly tokens: number;
  private passedOn = 0;
  /** How many log-probabilities the current worker will repeat before new ones. */
  private toSkip = 0;

  /** @param tokens length of the prompt */
  constructor(tokens: number) {
    this.tokens = tokens;
  }

  /** Whether all log-probabilities have been passed on. */
  get complete(): boolean {
    return this.passedOn >= this.tokens;
  }

  /** The next part comes from another worker, and starts at the first token. */
  restart(): void {
    this.toSkip = this.passedOn;
  }

  /** The tokens of a part that have not been passed on yet; null if there are none. */
  take({ type, logprobs }: PromptEvent): PromptEvent | null {
    const fresh = logprobs.slice(this.toSkip);
    this.toSkip -= logprobs.length - fresh.length;
    this.passedOn += fresh.length;
    return fresh.length === 0 ? null : { type, logprobs: fresh };
  }
}
