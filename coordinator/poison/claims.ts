import type { Clock } from '../../src/clock.js';
import type { SuspicionMessage } from '../../src/protocol/suspicion.js';

/**
 * Which coordinators run which prompts where, as long as the prompts are unproven or suspect. A coordinator claims a worker for a prompt before it
 * sends it there, so that copies that come to several coordinators at once do not run on a worker each.
 */

/** How long a claim waits until the bus has brought it back to its sender: by then all claims that came before it are known. */
const ECHO_WAIT_MS = 50;
/** Pause of a request that has lost to another coordinator's claim, before it tries again. */
const LOST_PAUSE_MS = 5;
/** How long another coordinator's claim is believed. */
const CLAIM_TTL_MS = 60_000;
const PROMPTS_KEPT = 4_096;

type ClaimMessage = Extract<SuspicionMessage, { type: 'claim' }>;

interface OthersClaim {
  readonly worker: string;
  readonly suspect: boolean;
  readonly untilMs: number;
}

export interface ClaimsOptions {
  readonly clock: Clock;
  readonly self: string;
  /** Whether the fleet has no other coordinator. */
  readonly alone: () => boolean;
  /** Returns false if the bus does not take the message. */
  readonly tell: (message: ClaimMessage) => boolean;
  /** Another coordinator has released a worker. */
  readonly onReleased: () => void;
}

export class Claims {
  /** By prompt, the number of this coordinator's claims of each worker. */
  private readonly own = new Map<string, Map<string, number>>();
  /** By prompt, the others' claims by coordinator and worker. */
  private readonly others = new Map<string, Map<string, OthersClaim>>();
  /** Claims that are on their way back. */
  private readonly echoes = new Map<string, Set<() => void>>();

  constructor(private readonly options: ClaimsOptions) {}

  /** The workers that are claimed for a prompt, by any coordinator. */
  workersOf(prompt: string): Set<string> {
    const others = [...this.othersOf(prompt)].map(({ worker }) => worker);
    return new Set([...(this.own.get(prompt)?.keys() ?? []), ...others]);
  }

  /** The workers on which other coordinators run suspects other than this prompt. */
  workersOfOtherSuspects(prompt: string): string[] {
    return [...this.others.keys()]
      .filter((other) => other !== prompt)
      .flatMap((other) => [...this.othersOf(other)])
      .flatMap(({ worker, suspect }) => (suspect ? [worker] : []));
  }

  /**
   * Claims a worker for a prompt. Resolves with false, and without a claim, if that would make more than `most` workers for it. The claim counts
   * from the call on.
   */
  async claim(prompt: string, worker: string, most: number, suspect: boolean): Promise<boolean> {
    const mine = this.own.get(prompt) ?? new Map<string, number>();
    this.own.set(prompt, mine);
    mine.set(worker, (mine.get(worker) ?? 0) + 1);
    const isFree = () => this.workersOf(prompt).size <= most;
    if (this.options.alone() ? isFree() : await this.publish(prompt, worker, suspect, isFree)) return true;
    this.release(prompt, worker);
    await new Promise<void>((resolve) => this.options.clock.after(LOST_PAUSE_MS, resolve));
    return false;
  }

  /** Ends a claim, if there is one. */
  release(prompt: string, worker: string): void {
    const mine = this.own.get(prompt);
    const count = mine?.get(worker);
    if (mine === undefined || count === undefined) return;
    if (count > 1) return void mine.set(worker, count - 1);
    mine.delete(worker);
    if (mine.size === 0) this.own.delete(prompt);
    if (!this.options.alone()) this.tell(prompt, worker, false, false);
  }

  /** Ends all claims for a prompt that has proved harmless. */
  releaseAll(prompt: string): void {
    const mine = this.own.get(prompt);
    for (const worker of [...(mine?.keys() ?? [])]) {
      mine!.set(worker, 1);
      this.release(prompt, worker);
    }
  }

  /** Takes a claim or a release, this coordinator's own ones too. */
  hear({ from, prompt, worker, runs, suspect }: ClaimMessage): void {
    if (from === this.options.self) {
      for (const resolve of this.echoes.get(echoOf(prompt, worker)) ?? []) resolve();
      return;
    }
    const claims = this.others.get(prompt) ?? new Map<string, OthersClaim>();
    const key = `${from} ${worker}`;
    if (runs) claims.set(key, { worker, suspect, untilMs: this.options.clock.now() + CLAIM_TTL_MS });
    else claims.delete(key);
    if (claims.size > 0) this.others.set(prompt, claims);
    else this.others.delete(prompt);
    if (this.others.size > PROMPTS_KEPT) this.others.delete(this.others.keys().next().value!);
    if (!runs) this.options.onReleased();
  }

  /** A prompt is no suspect any more. */
  cleared(prompt: string): void {
    const claims = this.others.get(prompt);
    for (const [key, claim] of claims ?? []) claims!.set(key, { ...claim, suspect: false });
  }

  /** A prompt is convicted: nobody runs it any more. */
  forget(prompt: string): void {
    this.others.delete(prompt);
  }

  private *othersOf(prompt: string): Iterable<OthersClaim> {
    const nowMs = this.options.clock.now();
    for (const claim of this.others.get(prompt)?.values() ?? []) if (claim.untilMs > nowMs) yield claim;
  }

  private tell(prompt: string, worker: string, runs: boolean, suspect: boolean): boolean {
    return this.options.tell({ type: 'claim', from: this.options.self, prompt, worker, runs, suspect });
  }

  /** Resolves with what `isFree` says when the claim comes back, before later claims do, or after `ECHO_WAIT_MS`. */
  private publish(prompt: string, worker: string, suspect: boolean, isFree: () => boolean): Promise<boolean> {
    const key = echoOf(prompt, worker);
    const waiting = this.echoes.get(key) ?? new Set();
    this.echoes.set(key, waiting);
    return new Promise((resolve) => {
      const done = () => {
        timer.cancel();
        waiting.delete(done);
        if (waiting.size === 0) this.echoes.delete(key);
        resolve(isFree());
      };
      const timer = this.options.clock.after(ECHO_WAIT_MS, done);
      waiting.add(done);
      if (!this.tell(prompt, worker, true, suspect)) done();
    });
  }
}

function echoOf(prompt: string, worker: string): string {
  return `${prompt} ${worker}`;
}
