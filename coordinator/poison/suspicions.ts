import type { Clock } from '../../src/clock.js';
import { EVIDENCE_MS } from '../../src/limits.js';
import type { Loss } from './loss.js';
import type { RequestName } from './request-name.js';
import { addTo, removeFrom } from './sets.js';

/** By prompt, the losses that it has witnessed and that speak against it. */

const SUSPECTS_KEPT = 4_096;

export class Suspicions {
  private readonly losses = new Map<string, Set<Loss>>();

  constructor(private readonly clock: Pick<Clock, 'now'>) {}

  /** The recent losses that speak against a prompt, or against one request with it. */
  against(prompt: string, request?: string): Loss[] {
    const losses = this.losses.get(prompt);
    if (losses === undefined) return [];
    const sinceMs = this.clock.now() - EVIDENCE_MS;
    return [...losses].filter(
      (loss) => loss.atMs > sinceMs && loss.fate !== 'spared' && !(request !== undefined && loss.excuses(request)),
    );
  }

  deathsOf(prompt: string): Loss[] {
    return this.against(prompt).filter(({ fate }) => fate === 'dead');
  }

  isSuspect(prompt: string, request?: string): boolean {
    return this.against(prompt, request).length > 0;
  }

  suspects(): string[] {
    return [...this.losses.keys()].filter((prompt) => this.isSuspect(prompt));
  }

  /** The fewest tokens that a lost worker had generated for a suspect. */
  leastFresh(prompt: string): number {
    return Math.min(...this.against(prompt).map((loss) => loss.witnesses.get(prompt)!.fresh));
  }

  /** The prompts against which a loss speaks. */
  suspectsOf(loss: Loss): string[] {
    return [...loss.witnesses.keys()].filter((prompt) => this.against(prompt).includes(loss));
  }

  add(prompt: string, loss: Loss): void {
    addTo(this.losses, prompt, loss);
    if (this.losses.size > SUSPECTS_KEPT) this.losses.delete(this.losses.keys().next().value!);
  }

  drop(prompt: string, losses: readonly Loss[]): void {
    for (const loss of losses) removeFrom(this.losses, prompt, loss);
  }

  /** A request got past the points of some losses. A loss that another request with its prompt witnessed still counts against that request. */
  clear({ prompt, request }: RequestName, losses: readonly Loss[]): void {
    for (const loss of losses) {
      if (loss.witnesses.get(prompt)?.request === request) this.drop(prompt, [loss]);
      else loss.excuse(request);
    }
  }

  forget(prompt: string): void {
    this.losses.delete(prompt);
  }
}
