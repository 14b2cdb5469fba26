import type { Timer } from '../../src/clock.js';
import type { Fate, LostWorker } from './trial.js';

/** The loss of a worker, and the prompts that it speaks against. */

/** The state of a prompt when a worker that computed it was lost. */
export interface Witness {
  /** Tokens of the answer, those of earlier attempts included. */
  readonly tokens: number;
  /** Tokens that the lost worker had generated. */
  readonly fresh: number;
  readonly placedMs: number;
}

/** A loss, as coordinators tell each other of it. */
export type LossName = Pick<Loss, 'worker' | 'incarnation' | 'atMs'>;

/** The loss of one incarnation of a worker, with the prompts that witnessed it. */
export class Loss implements LostWorker {
  fate: Fate = 'unknown';
  judged = false;
  explained = false;
  readonly witnesses = new Map<string, Witness>();
  /** Prompts that waited there, and had not begun. */
  readonly waiting = new Map<string, Witness>();
  timer: Timer | null = null;

  constructor(
    readonly worker: string,
    readonly instance: string,
    readonly atMs: number,
    /** The number of the last trial that was placed before. */
    readonly after: number,
    /** The prompt that was next in line there, and may have begun: what a worker sends as it crashes can be lost. */
    readonly next: string | null,
  ) {}

  get incarnation(): string {
    return this.instance.slice(this.worker.length + 1);
  }
}

/** What two copies of a prompt have witnessed: only a run that gets past the further one is evidence for the prompt. */
export function furthest(a: Witness, b: Witness): Witness {
  return {
    tokens: Math.max(a.tokens, b.tokens),
    fresh: Math.min(a.fresh, b.fresh),
    placedMs: Math.min(a.placedMs, b.placedMs),
  };
}
