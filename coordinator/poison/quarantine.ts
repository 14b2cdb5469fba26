import type { Clock } from '../../src/clock.js';
import { EVIDENCE_MS } from '../../src/limits.js';
import { PROMPTS_PER_SUSPICION, type QuarantinedPrompts } from '../../src/protocol/suspicion.js';
import type { Convicted, RequestName } from './request-name.js';

/** The requests that are refused because they crash workers. */

/** How long a request is refused after its verdict. */
export const QUARANTINE_MS = EVIDENCE_MS;
/** Limit on the prompts with quarantined requests; the oldest verdict is dropped. */
const QUARANTINED_PROMPTS = PROMPTS_PER_SUSPICION;

interface Sentence {
  /** Null if all requests with the prompt are refused. */
  readonly request: string | null;
  readonly untilMs: number;
}

export class Quarantine {
  private readonly sentences = new Map<string, Sentence>();

  constructor(private readonly clock: Clock) {}

  /** Whether any request with the prompt is refused. */
  has(prompt: string): boolean {
    return this.sentenceOf(prompt) !== null;
  }

  /** Whether all requests with the prompt are refused. */
  hasAll(prompt: string): boolean {
    return this.sentenceOf(prompt)?.request === null;
  }

  refuses({ prompt, request }: RequestName): boolean {
    const sentence = this.sentenceOf(prompt);
    return sentence !== null && (sentence.request === null || sentence.request === request);
  }

  /** A second request with the same prompt convicts the prompt. Returns false if the conviction was known. */
  add({ prompt, request }: Convicted, forMs: number = QUARANTINE_MS): boolean {
    const nowMs = this.clock.now();
    for (const [known, { untilMs }] of this.sentences) if (untilMs <= nowMs) this.sentences.delete(known);
    const before = this.sentences.get(prompt);
    if (forMs <= 0 || before?.request === null || (before && before.request === request)) return false;
    if (before === undefined && this.sentences.size >= QUARANTINED_PROMPTS)
      this.sentences.delete(this.sentences.keys().next().value!);
    const untilMs = nowMs + Math.min(forMs, QUARANTINE_MS);
    this.sentences.set(prompt, { request: before ? null : request, untilMs });
    return true;
  }

  list(): QuarantinedPrompts {
    const nowMs = this.clock.now();
    return [...this.sentences]
      .map(([prompt, { request, untilMs }]) => ({ prompt, request, forMs: untilMs - nowMs }))
      .filter(({ forMs }) => forMs > 0);
  }

  private sentenceOf(prompt: string): Sentence | null {
    const sentence = this.sentences.get(prompt);
    return sentence && sentence.untilMs > this.clock.now() ? sentence : null;
  }
}
