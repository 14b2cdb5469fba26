import { Condition } from '../../src/async/condition.js';
import type { Clock } from '../../src/clock.js';
import type { Claims } from './claims.js';
import type { Gate } from './gate.js';
import { furthest, Loss, type Witness } from './loss.js';
import { addTo, removeFrom } from './sets.js';
import { Timers } from './timers.js';
import { instanceOf, type LostWorker, Trial, type TrialOwner } from './trial.js';
import { CLEARING_TOKENS, convictedOf } from './verdict.js';

/**
 * Finds the prompts that crash workers, from the deaths that each prompt has witnessed.
 *
 * All prompts that had begun on a worker when it died are suspects, and the one that was next in line. A suspect runs on probation: no other
 * suspect shares its worker. A crash is a function of the prompt, so a suspect is cleared as soon as it gets `CLEARING_TOKENS` past the point
 * where the worker died. A second death before that convicts it, if no other prompt on that worker has witnessed as many.
 */

/** Time on the next worker that clears a suspect, together with those tokens: small models generate them in a moment. */
const CLEARING_MS = 600;
/** Tokens of an answer that show that copies of its prompt may run anywhere. */
const PROOF_TOKENS = 128;
/** How long a suspicion lasts without news. */
const SUSPICION_MS = 600_000;
/** Time within which membership decides on a lost worker; after it, the worker is dead unless it is a trusted member. @internal exported for tests. */
export const FATE_WAIT_MS = 4_000;
/** Time between a death and the verdict, in which the other coordinators report their witnesses. */
const JUDGE_AFTER_MS = 200;
/** Longest time after a death for which the verdict waits until the other coordinators are heard. @internal exported for tests. */
export const JUDGE_DEAF_MS = 5_000;
/** How long an attempt that its client cancelled still counts as running: its worker may have died of it unnoticed. */
const CANCELLED_FOR_MS = 3_000;
const KEPT = { losses: 256, suspects: 4_096, proven: 8_192 } as const;

export interface SuspectsOptions {
  readonly clock: Clock;
  /** Whether membership trusts this incarnation. */
  readonly trusts: (worker: string, incarnation: string) => boolean;
  readonly isConvicted: (prompt: string) => boolean;
  /** Whether what other coordinators publish has been heard for a while, as far as this one knows. */
  readonly hearsOthers: () => boolean;
  readonly onWitnessed: (worker: string, incarnation: string, witnesses: ReadonlyMap<string, Witness>) => void;
  readonly claims: Claims;
  readonly onCleared: (prompt: string, losses: readonly string[]) => void;
  readonly onVerdict: (prompt: string, workers: readonly string[]) => void;
}

export class Suspects implements TrialOwner {
  /** Notified when a prompt that waits may be able to go on. */
  readonly changed: Condition;
  private readonly trials = new Map<string, Set<Trial>>();
  private readonly byPrompt = new Map<string, Set<Trial>>();
  private readonly losses = new Map<string, Loss>();
  /** By prompt, the losses that it has witnessed and that speak against it. */
  private readonly suspicions = new Map<string, Set<Loss>>();
  private readonly proven = new Set<string>();
  private readonly timers: Timers;
  /** Instances whose connection closed. */
  private readonly unlinked = new Set<string>();

  constructor(private readonly options: SuspectsOptions) {
    this.changed = new Condition(options.clock);
    this.timers = new Timers(options.clock);
  }

  stop(): void {
    this.timers.cancelAll();
  }

  isSuspect(prompt: string): boolean {
    return this.against(prompt).length > 0;
  }

  /** Decides where the prompt may run. */
  gate(prompt: string): Gate {
    const against = this.against(prompt);
    const runs = this.workersOf(prompt).size > 0;
    if (against.length === 0) {
      if (this.proven.has(prompt)) return { kind: 'free', proven: true };
      return runs ? { kind: 'wait', why: 'copy' } : { kind: 'free', proven: false };
    }
    if (against.length > 1 && against.some(({ judged }) => !judged)) return { kind: 'wait', why: 'verdict' };
    if (runs) return { kind: 'wait', why: 'probation' };
    return { kind: 'probation', avoid: this.occupied(prompt) };
  }

  /** The workers that run the prompt for any coordinator, or are claimed for it. */
  workersOf(prompt: string): Set<string> {
    const workers = this.options.claims.workersOf(prompt);
    for (const { worker } of this.byPrompt.get(prompt) ?? []) workers.add(worker);
    return workers;
  }

  /** Records that a prompt was placed on a worker. */
  begin(prompt: string, worker: string, incarnation: string, resumedTokens: number): Trial {
    const trial = new Trial(this, prompt, worker, incarnation, resumedTokens, this.options.clock.now());
    addTo(this.trials, trial.instance, trial);
    addTo(this.byPrompt, prompt, trial);
    return trial;
  }

  now(): number {
    return this.options.clock.now();
  }

  progressed(trial: Trial): void {
    if (trial.completed || trial.tokens >= PROOF_TOKENS) this.prove(trial.prompt);
    if (this.suspicions.has(trial.prompt)) this.clearBy(trial, trial.completed ? 0 : CLEARING_TOKENS);
  }

  lost(trial: Trial): LostWorker {
    const loss = this.lossOf(trial.worker, trial.incarnation);
    if (loss.fate !== 'spared' && this.witness(loss, trial)) this.publish(loss, [trial.prompt]);
    if (loss.fate === 'dead' && loss.timer === null) this.judge(loss);
    return loss;
  }

  over(trial: Trial): void {
    if (!removeFrom(this.byPrompt, trial.prompt, trial)) return;
    if (trial.claimed) this.options.claims.release(trial.prompt, trial.worker);
    const leave = () => {
      removeFrom(this.trials, trial.instance, trial);
      if (!trial.wasLost && trial.fresh > 0) this.clearBy(trial, 0);
    };
    // A cancelled attempt may already have doomed its worker.
    if (trial.completed || trial.wasLost) leave();
    else this.timers.after(CANCELLED_FOR_MS, leave);
    this.changed.notifyAll();
  }

  /** A trial ends before its prompt was sent to the worker. */
  withdrawn(trial: Trial): void {
    removeFrom(this.byPrompt, trial.prompt, trial);
    removeFrom(this.trials, trial.instance, trial);
    this.changed.notifyAll();
  }

  /** The connection to a worker closed. */
  unlink(worker: string, incarnation: string): void {
    this.unlinked.add(instanceOf(worker, incarnation));
    if (this.unlinked.size > KEPT.losses) this.unlinked.delete(this.unlinked.values().next().value!);
  }

  /** Membership has declared a worker dead. `fenced`: only because a newer incarnation appeared, which proves a death only of a lost worker. */
  dead(worker: string, incarnation: string, fenced: boolean): void {
    const instance = instanceOf(worker, incarnation);
    const lostBefore = this.losses.has(instance) || this.unlinked.has(instance);
    if (fenced && !lostBefore) this.spared(worker, incarnation);
    else this.settle(this.lossOf(worker, incarnation), 'dead');
  }

  /** Somebody killed a worker: its death speaks against no prompt. */
  killed(worker: string, incarnation: string): void {
    this.explain(this.lossOf(worker, incarnation));
    this.changed.notifyAll();
  }

  /** A worker ended in good order: its loss speaks against no prompt. */
  spared(worker: string, incarnation: string): void {
    this.unlinked.delete(instanceOf(worker, incarnation));
    const known = this.losses.get(instanceOf(worker, incarnation));
    if (known || this.trials.has(instanceOf(worker, incarnation)))
      this.settle(known ?? this.lossOf(worker, incarnation), 'spared');
  }

  /** An incarnation is a member, or is trusted again. It may still be lost later. */
  lives(worker: string, incarnation: string): void {
    const instance = instanceOf(worker, incarnation);
    this.unlinked.delete(instance);
    const loss = this.losses.get(instance);
    if (loss) this.settle(loss, 'spared');
    this.losses.delete(instance);
    this.changed.notifyAll();
  }

  /** Another coordinator's prompts had begun on a worker when it was lost. */
  witnessedElsewhere(worker: string, incarnation: string, witnesses: ReadonlyMap<string, Witness>): void {
    const loss = this.lossOf(worker, incarnation);
    if (loss.fate === 'spared') return;
    for (const [prompt, witness] of witnesses) this.accuse(loss, prompt, witness);
    if (loss.fate === 'dead' && loss.timer === null) this.judge(loss);
  }

  clearedElsewhere(prompt: string, instances: readonly string[]): void {
    const losses = [...(this.suspicions.get(prompt) ?? [])].filter(({ instance }) => instances.includes(instance));
    this.drop(prompt, losses);
    this.options.claims.cleared(prompt);
    this.changed.notifyAll();
  }

  /** A prompt is convicted: the losses it witnessed speak against no other prompt. Returns the workers that died of it. */
  convict(prompt: string): string[] {
    const losses = this.against(prompt);
    for (const loss of losses) this.explain(loss);
    this.suspicions.delete(prompt);
    this.options.claims.forget(prompt);
    this.proven.delete(prompt);
    this.changed.notifyAll();
    return losses.filter(({ fate }) => fate === 'dead').map(({ worker }) => worker);
  }

  private explain(loss: Loss): void {
    loss.explained = true;
    for (const prompt of loss.witnesses.keys()) this.drop(prompt, [loss]);
  }

  private witness(loss: Loss, trial: Trial): boolean {
    const { prompt, tokens, fresh, placedMs } = trial;
    const witness = { tokens, fresh, placedMs };
    const waitedBefore = [...this.losses.values()].some(
      (other) => other !== loss && other.fate !== 'spared' && other.waiting.has(prompt),
    );
    if (trial.begun || waitedBefore || prompt === loss.next) return this.accuse(loss, prompt, witness);
    loss.waiting.set(prompt, witness);
    return false;
  }

  private accuse(loss: Loss, prompt: string, witness: Witness): boolean {
    if (this.options.isConvicted(prompt)) this.explain(loss);
    if (loss.explained) return false;
    const copy = loss.witnesses.get(prompt);
    loss.witnesses.set(prompt, copy === undefined ? witness : furthest(copy, witness));
    if (copy !== undefined) return false;
    addTo(this.suspicions, prompt, loss);
    if (this.suspicions.size > KEPT.suspects) this.suspicions.delete(this.suspicions.keys().next().value!);
    return true;
  }

  private settle(loss: Loss, fate: 'dead' | 'spared'): void {
    if (loss.fate === fate) return;
    this.cancel(loss);
    loss.fate = fate;
    if (fate === 'spared') {
      loss.judged = true;
      for (const prompt of loss.witnesses.keys()) this.drop(prompt, [loss]);
      this.changed.notifyAll();
      return;
    }
    // Slow clients' requests have not noticed the loss yet.
    for (const trial of this.trials.get(loss.instance) ?? []) this.witness(loss, trial);
    if (loss.witnesses.size === 0) for (const [prompt, witness] of loss.waiting) this.accuse(loss, prompt, witness);
    this.publish(loss, [...loss.witnesses.keys()]);
    this.judgeLater(loss, this.options.clock.now() + JUDGE_DEAF_MS);
  }

  /** While the other coordinators may not be heard, their witnesses are missing, and they miss those of this one: they are published again. */
  private judgeLater(loss: Loss, untilMs: number): void {
    loss.timer = this.timers.after(JUDGE_AFTER_MS, () => {
      loss.timer = null;
      if (this.options.hearsOthers() || this.options.clock.now() >= untilMs) return this.judge(loss);
      this.publish(loss, [...loss.witnesses.keys()]);
      this.judgeLater(loss, untilMs);
    });
  }

  private judge(loss: Loss): void {
    loss.judged = true;
    const convicted = convictedOf(loss, {
      nowMs: this.options.clock.now(),
      losses: [...this.losses.values()],
      deathsOf: (prompt) => this.deathsOf(prompt),
      isProven: (prompt) => this.proven.has(prompt),
    });
    if (convicted !== null) this.options.onVerdict(convicted, this.convict(convicted));
    this.changed.notifyAll();
  }

  private deathsOf(prompt: string): Loss[] {
    return this.against(prompt).filter(({ fate }) => fate === 'dead');
  }

  private clearBy(trial: Trial, margin: number): void {
    if (margin > 0 && this.options.clock.now() - trial.startedMs < CLEARING_MS) return;
    const passed = this.against(trial.prompt).filter(
      (loss) => loss.instance !== trial.instance && trial.tokens >= loss.witnesses.get(trial.prompt)!.tokens + margin,
    );
    if (passed.length === 0) return;
    this.drop(trial.prompt, passed);
    this.options.onCleared(
      trial.prompt,
      passed.map(({ instance }) => instance),
    );
    this.changed.notifyAll();
  }

  /** The recent losses that speak against a prompt. */
  private against(prompt: string): Loss[] {
    const losses = this.suspicions.get(prompt);
    if (losses === undefined) return [];
    const sinceMs = this.options.clock.now() - SUSPICION_MS;
    return [...losses].filter(({ atMs, fate }) => atMs > sinceMs && fate !== 'spared');
  }

  private drop(prompt: string, losses: readonly Loss[]): void {
    for (const loss of losses) removeFrom(this.suspicions, prompt, loss);
  }

  /** The workers that run suspects other than this prompt. */
  private occupied(prompt: string): Set<string> {
    const occupied = new Set<string>();
    for (const other of this.suspicions.keys()) {
      if (other === prompt || !this.isSuspect(other)) continue;
      for (const { worker } of this.byPrompt.get(other) ?? []) occupied.add(worker);
    }
    for (const worker of this.options.claims.workersOfOtherSuspects(prompt)) occupied.add(worker);
    return occupied;
  }

  private prove(prompt: string): void {
    if (this.proven.has(prompt)) return;
    this.proven.add(prompt);
    this.options.claims.releaseAll(prompt);
    if (this.proven.size > KEPT.proven) this.proven.delete(this.proven.values().next().value!);
    this.changed.notifyAll();
  }

  private lossOf(worker: string, incarnation: string): Loss {
    const instance = instanceOf(worker, incarnation);
    const known = this.losses.get(instance);
    if (known) return known;
    const [next] = [...(this.trials.get(instance) ?? [])].filter(({ begun }) => !begun);
    const loss = new Loss(worker, instance, this.options.clock.now(), next?.prompt ?? null);
    this.losses.set(instance, loss);
    loss.timer = this.timers.after(FATE_WAIT_MS, () => {
      if (this.options.trusts(worker, incarnation)) this.lives(worker, incarnation);
      else this.settle(loss, 'dead');
    });
    if (this.losses.size > KEPT.losses) this.forgetOldest();
    return loss;
  }

  private forgetOldest(): void {
    const [oldest] = this.losses.values();
    if (!oldest) return;
    this.cancel(oldest);
    this.losses.delete(oldest.instance);
    for (const prompt of oldest.witnesses.keys()) this.drop(prompt, [oldest]);
  }

  private publish(loss: Loss, prompts: readonly string[]): void {
    if (prompts.length === 0) return;
    const own = new Map(prompts.map((prompt) => [prompt, loss.witnesses.get(prompt)!]));
    this.options.onWitnessed(loss.worker, loss.instance.slice(loss.worker.length + 1), own);
  }

  private cancel(loss: Loss): void {
    if (loss.timer) this.timers.cancel(loss.timer);
    loss.timer = null;
  }
}
