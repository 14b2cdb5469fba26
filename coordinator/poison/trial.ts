import type { RequestName } from './request-name.js';

/** One attempt of a request on a worker, as evidence for or against the prompt. */

/** The fate of a lost worker: `spared` means that it is still alive, or ended in good order. */
export type Fate = 'unknown' | 'dead' | 'spared';

/** A worker that a request lost. */
export interface LostWorker {
  readonly fate: Fate;
  /** The cause of its loss is known: a prompt was convicted of it, or the worker was killed deliberately. */
  readonly explained: boolean;
}

/** The part of `Suspects` that a trial reports to. */
export interface TrialOwner {
  now(): number;
  progressed(trial: Trial): void;
  lost(trial: Trial): LostWorker;
  over(trial: Trial): void;
  withdrawn(trial: Trial): void;
}

/** The name of one incarnation of a worker. */
export function instanceOf(worker: string, incarnation: string): string {
  return `${worker} ${incarnation}`;
}

export class Trial {
  /** The worker has reported that it computes the prompt. */
  begun = false;
  completed = false;
  /** The claim of the worker that ends with the trial, by the name for which it was made; null for none. */
  claim: string | null = null;
  wasLost = false;
  /** Tokens that this worker generated. */
  fresh = 0;
  startedMs: number;

  constructor(
    private readonly owner: TrialOwner,
    readonly name: RequestName,
    readonly worker: string,
    readonly incarnation: string,
    readonly resumedTokens: number,
    /** `number`: later trials have higher ones. */
    private readonly placed: { readonly number: number; readonly placedMs: number },
  ) {
    this.startedMs = placed.placedMs;
  }

  get prompt(): string {
    return this.name.prompt;
  }

  get request(): string {
    return this.name.request;
  }

  get number(): number {
    return this.placed.number;
  }

  get placedMs(): number {
    return this.placed.placedMs;
  }

  get instance(): string {
    return instanceOf(this.worker, this.incarnation);
  }

  /** Tokens of the answer, including earlier attempts. */
  get tokens(): number {
    return this.resumedTokens + this.fresh;
  }

  started(): void {
    this.begun = true;
    this.startedMs = this.owner.now();
  }

  generated(tokens: number): void {
    this.begun = true;
    this.fresh += tokens;
    this.owner.progressed(this);
  }

  /** The answer has ended on this worker. */
  complete(): void {
    this.completed = true;
    this.owner.progressed(this);
  }

  /** The worker was lost, for a reason that is not known yet. */
  lost(): LostWorker {
    this.wasLost = true;
    return this.owner.lost(this);
  }

  /** The prompt was not sent to the worker. */
  withdraw(): void {
    this.owner.withdrawn(this);
  }

  /** The attempt has ended, in any way. */
  over(): void {
    this.owner.over(this);
  }
}
