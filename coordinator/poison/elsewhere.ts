import type { Clock } from '../../src/clock.js';

/** The suspect prompts that other coordinators run, with their workers. */

/** How long a report is believed. */
const REPORT_TTL_MS = 60_000;
const REPORTS_KEPT = 4_096;

export class Elsewhere {
  private readonly reports = new Map<string, { readonly worker: string; readonly untilMs: number }>();

  constructor(private readonly clock: Clock) {}

  /** Another coordinator runs the prompt on this worker, or no longer (null). */
  report(prompt: string, worker: string | null): void {
    if (worker === null) this.reports.delete(prompt);
    else this.reports.set(prompt, { worker, untilMs: this.clock.now() + REPORT_TTL_MS });
    if (this.reports.size > REPORTS_KEPT) this.reports.delete(this.reports.keys().next().value!);
  }

  runs(prompt: string): boolean {
    return (this.reports.get(prompt)?.untilMs ?? 0) > this.clock.now();
  }

  /** The workers that run prompts other than this one. */
  *workersOfOthers(prompt: string): Iterable<string> {
    for (const [other, { worker }] of this.reports) if (other !== prompt && this.runs(other)) yield worker;
  }
}
