import { addTo, removeFrom } from './sets.js';
import type { Trial } from './trial.js';

/** The trials that have not ended, by prompt and by instance of a worker. */
export class Trials {
  private readonly byInstance = new Map<string, Set<Trial>>();
  private readonly byPrompt = new Map<string, Set<Trial>>();

  add(trial: Trial): void {
    addTo(this.byInstance, trial.instance, trial);
    addTo(this.byPrompt, trial.prompt, trial);
  }

  /** Returns false if the trial had ended before. */
  end(trial: Trial): boolean {
    return removeFrom(this.byPrompt, trial.prompt, trial);
  }

  /** The worker cannot die of the trial any more. */
  leave(trial: Trial): void {
    removeFrom(this.byInstance, trial.instance, trial);
  }

  /** The attempts that a worker runs, or may still die of. */
  on(instance: string): ReadonlySet<Trial> {
    return this.byInstance.get(instance) ?? NONE;
  }

  of(prompt: string): ReadonlySet<Trial> {
    return this.byPrompt.get(prompt) ?? NONE;
  }
}

const NONE: ReadonlySet<Trial> = new Set();
