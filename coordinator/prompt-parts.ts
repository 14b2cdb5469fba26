import type { GenerateEvent } from '../src/protocol/generate.js';

type PromptEvent = Extract<GenerateEvent, { type: 'prompt' }>;

/** Log-probabilities of a prompt's tokens, which come in parts, and from each worker that is asked for them from the beginning. */
export class PromptParts {
  private readonly tokens: number;
  private taken = 0;
  /** Of those taken, those that this worker is still to tell again. */
  private repeated = 0;

  /** @param tokens of the prompt */
  constructor(tokens: number) {
    this.tokens = tokens;
  }

  /** Whether nobody need be asked for them any more. */
  get complete(): boolean {
    return this.taken >= this.tokens;
  }

  /** What comes now is another worker's. */
  beginAnew(): void {
    this.repeated = this.taken;
  }

  /** What of the part did not come before; null if all of it did. */
  take({ type, logprobs }: PromptEvent): PromptEvent | null {
    const fresh = logprobs.slice(this.repeated);
    this.repeated -= logprobs.length - fresh.length;
    this.taken += fresh.length;
    return fresh.length === 0 ? null : { type, logprobs: fresh };
  }
}
