import type { Timer } from '../../src/clock.js';
import type { Fate, LostWorker } from './trial.js';

/** The loss of a worker, and the prompts that it speaks against. */

/** Limit on the requests that a loss excuses. */
const EXCUSED_REQUESTS = 1_024;

/** The state of a prompt when a worker that computed it was lost. */
export interface Witness {
  /** The request that ran there; null if several with this prompt did. */
  readonly request: string | null;
  /** Tokens of the answer, including earlier attempts. */
  readonly tokens: number;
  /** Tokens that the lost worker had generated. */
  readonly fresh: number;
  readonly placedMs: number;
}

/** A loss, as coordinators report it to each other. */
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
  /** Requests that got past the point of the loss, although another one with their prompt witnessed it. */
  private readonly excused = new Set<string>();

  constructor(
    readonly worker: string,
    readonly instance: string,
    readonly atMs: number,
    /** The number of the last trial that was placed before. */
    readonly after: number,
    /** The prompt that was next in line there, and may have begun: a crashing worker's last messages can be lost. */
    readonly next: string | null,
  ) {}

  excuses(request: string): boolean {
    return this.excused.has(request);
  }

  excuse(request: string): void {
    this.excused.add(request);
    if (this.excused.size > EXCUSED_REQUESTS) this.excused.delete(this.excused.values().next().value!);
  }

  get incarnation(): string {
    return this.instance.slice(this.worker.length + 1);
  }
}

/**
 * The combined witness of two requests with one prompt: only a run that gets past the further point is evidence for the prompt. If one request has run
 * well before, the other is the suspect.
 */
export function furthest(a: Witness, b: Witness, isProven: (request: string) => boolean): Witness {
  return {
    request: suspectOf(a.request, b.request, isProven),
    tokens: Math.max(a.tokens, b.tokens),
    fresh: Math.min(a.fresh, b.fresh),
    placedMs: Math.min(a.placedMs, b.placedMs),
  };
}

function suspectOf(a: string | null, b: string | null, isProven: (request: string) => boolean): string | null {
  if (a === b || a === null || b === null) return a === b ? a : null;
  if (isProven(a) === isProven(b)) return null;
  return isProven(a) ? b : a;
}
