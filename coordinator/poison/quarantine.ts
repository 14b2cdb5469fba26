import type { Clock } from '../../src/clock.js';
import { EVIDENCE_MS } from '../../src/limits.js';
import { PROMPTS_PER_SUSPICION, type QuarantinedPrompts } from '../../src/protocol/suspicion.js';

/** The prompts that are refused because they crash workers. */

/** How long a prompt is refused after its verdict. */
export const QUARANTINE_MS = EVIDENCE_MS;
/** Limit on the quarantined prompts; the oldest verdict gives way. */
const QUARANTINED_PROMPTS = PROMPTS_PER_SUSPICION;

export class Quarantine {
  private readonly untilMs = new Map<string, number>();

  constructor(private readonly clock: Clock) {}

  has(prompt: string): boolean {
    return (this.untilMs.get(prompt) ?? 0) > this.clock.now();
  }

  /** Returns false if the prompt was quarantined before. */
  add(prompt: string, forMs: number = QUARANTINE_MS): boolean {
    const nowMs = this.clock.now();
    for (const [known, untilMs] of this.untilMs) if (untilMs <= nowMs) this.untilMs.delete(known);
    if (forMs <= 0 || this.untilMs.has(prompt)) return false;
    if (this.untilMs.size >= QUARANTINED_PROMPTS) this.untilMs.delete(this.untilMs.keys().next().value!);
    this.untilMs.set(prompt, nowMs + Math.min(forMs, QUARANTINE_MS));
    return true;
  }

  list(): QuarantinedPrompts {
    const nowMs = this.clock.now();
    return [...this.untilMs]
      .map(([prompt, untilMs]) => ({ prompt, forMs: untilMs - nowMs }))
      .filter(({ forMs }) => forMs > 0);
  }
}
