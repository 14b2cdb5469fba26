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
/** How long another coordinator's claim is valid. */
const CLAIM_TTL_MS = 60_000;
/** Age of a reservation from which on a coordinator has heard it before it chooses a worker, and need not look again when it claims one. */
const CLAIM_RACE_MS = 3_000;
const PROMPTS_KEPT = 4_096;

type ClaimMessage = Extract<SuspicionMessage, { type: 'claim' }>;

interface OthersClaim {
  readonly from: string;
  readonly worker: string;
  readonly suspect: boolean;
  readonly sinceMs: number;
  readonly untilMs: number;
}

/** How claims of several coordinators are ordered: as NATS delivers them, or, relative to a claim that was made at a time, by coordinator. */
type Race = 'ordered' | { readonly madeMs: number };

export interface ClaimsOptions {
  readonly clock: Clock;
  readonly self: string;
  /** Whether the fleet has no other coordinator. */
  readonly alone: () => boolean;
  /** Returns false if the message cannot reach any coordinator. */
  readonly tell: (message: ClaimMessage) => boolean;
  /** Another coordinator has released a worker. */
  readonly onReleased: () => void;
}

export class Claims {
  /** By prompt, the number of this coordinator's claims of each worker. */
  private readonly own = new Map<string, Map<string, number>>();
  /** By prompt, the others' claims by coordinator and worker. */
  private readonly others = new Map<string, Map<string, OthersClaim>>();
  /** Claims that NATS has not delivered back yet. */
  private readonly echoes = new Map<string, Set<() => void>>();
  /** Numbers of the last messages heard, by coordinator, prompt and worker. */
  private readonly heard = new Map<string, number>();
  private seq = 0;

  constructor(private readonly options: ClaimsOptions) {}

  /** The workers that are claimed for a prompt, by any coordinator. */
  workersOf(prompt: string, race: Race = 'ordered'): Set<string> {
    const others = [...this.othersOf(prompt)].filter((claim) => !this.isLater(claim, race)).map(({ worker }) => worker);
    return new Set([...(this.own.get(prompt)?.keys() ?? []), ...others]);
  }

  /** The workers that other coordinators have reserved for a suspect, or run it on, with the time of the claim. */
  suspectClaims(prompt: string): { readonly worker: string; readonly sinceMs: number }[] {
    return [...this.othersOf(prompt)].filter(({ suspect }) => suspect);
  }

  /** Whether other coordinators have claimed the worker for another prompt since `sinceMs`. */
  othersOn(worker: string, prompt: string, sinceMs: number): boolean {
    return this.claimsOn(worker).some((claim) => claim.prompt !== prompt && claim.sinceMs >= sinceMs);
  }

  /** The prompts for which others claimed a worker before `beforeMs`, and still do. */
  promptsOn(worker: string, beforeMs: number): string[] {
    const before = this.claimsOn(worker).filter(({ sinceMs }) => sinceMs <= beforeMs);
    return [...new Set(before.map(({ prompt }) => prompt))];
  }

  /** Ends the others' claims of a worker that has died. Returns their prompts, except the ones that their coordinators have reported themselves. */
  bury(worker: string, diedMs: number): string[] {
    const prompts = this.promptsOn(worker, diedMs);
    for (const { prompt, key, sinceMs } of this.claimsOn(worker)) {
      if (sinceMs > diedMs) continue;
      const claims = this.others.get(prompt);
      claims?.delete(key);
      if (claims?.size === 0) this.others.delete(prompt);
    }
    return prompts;
  }

  /**
   * Claims a worker for a prompt. Resolves with false, and without a claim, if that would make more than `most` workers for it, or if the
   * worker is reserved for another suspect. The claim counts from the call on.
   * @param suspect whether the claim reserves the worker for the prompt alone
   */
  async claim(prompt: string, worker: string, most: number, suspect: boolean): Promise<boolean> {
    const mine = this.own.get(prompt) ?? new Map<string, number>();
    this.own.set(prompt, mine);
    mine.set(worker, (mine.get(worker) ?? 0) + 1);
    const isRoom = (race: Race = 'ordered') => this.workersOf(prompt, race).size <= most;
    const isFree = (race: Race) => isRoom(race) && !this.isReserved(worker, prompt, race);
    if (this.options.alone()) {
      if (isRoom()) return true;
    } else if (isFree('ordered') && (await this.publish(prompt, worker, suspect, isFree))) return true;
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
  hear({ from, prompt, worker, runs, suspect, seq }: ClaimMessage): void {
    if (from === this.options.self) {
      for (const resolve of this.echoes.get(echoOf(prompt, worker)) ?? []) resolve();
      return;
    }
    if (!this.isNews(`${from} ${prompt} ${worker}`, seq)) return;
    const claims = this.others.get(prompt) ?? new Map<string, OthersClaim>();
    const key = `${from} ${worker}`;
    const nowMs = this.options.clock.now();
    if (runs) claims.set(key, { from, worker, suspect, sinceMs: nowMs, untilMs: nowMs + CLAIM_TTL_MS });
    else claims.delete(key);
    if (claims.size > 0) this.others.set(prompt, claims);
    else this.others.delete(prompt);
    if (this.others.size > PROMPTS_KEPT) this.others.delete(this.others.keys().next().value!);
    if (!runs) this.options.onReleased();
  }

  /** A prompt is no longer a suspect. */
  cleared(prompt: string): void {
    const claims = this.others.get(prompt);
    for (const [key, claim] of claims ?? []) claims!.set(key, { ...claim, suspect: false });
  }

  /** A prompt is convicted: no coordinator runs it any more. */
  forget(prompt: string): void {
    this.others.delete(prompt);
  }

  private isReserved(worker: string, prompt: string, race: Race): boolean {
    const sinceMs = this.options.clock.now() - CLAIM_RACE_MS;
    return this.claimsOn(worker).some(
      (claim) => claim.suspect && claim.prompt !== prompt && claim.sinceMs >= sinceMs && !this.isLater(claim, race),
    );
  }

  /**
   * Whether another coordinator's claim yields to one of this coordinator. Claims that NATS brings back are in the same order everywhere. Of two
   * that only workers forwarded, each made before the other was heard, the claim of the lower coordinator id is first.
   */
  private isLater({ from, sinceMs }: OthersClaim, race: Race): boolean {
    return race !== 'ordered' && sinceMs >= race.madeMs && from > this.options.self;
  }

  /** Whether a message is no older than the last one that was heard of its coordinator, prompt and worker. */
  private isNews(about: string, seq: number): boolean {
    if ((this.heard.get(about) ?? -1) >= seq) return false;
    this.heard.delete(about);
    this.heard.set(about, seq);
    if (this.heard.size > PROMPTS_KEPT) this.heard.delete(this.heard.keys().next().value!);
    return true;
  }

  private claimsOn(worker: string): (OthersClaim & { readonly prompt: string; readonly key: string })[] {
    const nowMs = this.options.clock.now();
    return [...this.others].flatMap(([prompt, claims]) =>
      [...claims]
        .filter(([, claim]) => claim.worker === worker && claim.untilMs > nowMs)
        .map(([key, claim]) => ({ ...claim, prompt, key })),
    );
  }

  private *othersOf(prompt: string): Iterable<OthersClaim> {
    const nowMs = this.options.clock.now();
    for (const claim of this.others.get(prompt)?.values() ?? []) if (claim.untilMs > nowMs) yield claim;
  }

  private tell(prompt: string, worker: string, runs: boolean, suspect: boolean): boolean {
    const seq = ++this.seq;
    return this.options.tell({ type: 'claim', from: this.options.self, prompt, worker, runs, suspect, seq });
  }

  /**
   * Resolves with what `isFree` says when the claim comes back, before later claims do, or after `ECHO_WAIT_MS`. By then claims that only workers
   * pass on have arrived, too.
   */
  private publish(prompt: string, worker: string, suspect: boolean, isFree: (race: Race) => boolean): Promise<boolean> {
    const key = echoOf(prompt, worker);
    const waiting = this.echoes.get(key) ?? new Set();
    this.echoes.set(key, waiting);
    return new Promise((resolve) => {
      const end = (race: Race) => {
        timer.cancel();
        waiting.delete(done);
        if (waiting.size === 0) this.echoes.delete(key);
        resolve(isFree(race));
      };
      const madeMs = this.options.clock.now();
      const done = () => end('ordered');
      const timer = this.options.clock.after(ECHO_WAIT_MS, () => end({ madeMs }));
      waiting.add(done);
      if (!this.tell(prompt, worker, true, suspect)) done();
    });
  }
}

function echoOf(prompt: string, worker: string): string {
  return `${prompt} ${worker}`;
}
