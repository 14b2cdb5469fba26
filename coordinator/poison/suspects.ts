import { Condition } from '../../src/async/condition.js';
import type { Gate } from './gate.js';
import { furthest, Loss, type LossName, type Witness } from './loss.js';
import { Probation } from './probation.js';
import { Proven } from './proven.js';
import type { Convicted, RequestName } from './request-name.js';
import type { SuspectsOptions } from './suspects-options.js';
import { Suspicions } from './suspicions.js';
import { Timers } from './timers.js';
import { instanceOf, type LostWorker, Trial, type TrialOwner } from './trial.js';
import { Trials } from './trials.js';
import { CLEARING_TOKENS, CONVICTING_DEATHS, convictedOf } from './verdict.js';

/**
 * Finds the prompts that crash workers, from the deaths that each prompt has witnessed.
 *
 * All prompts that had begun on a worker when it died are suspects, and the one that was next in line. A suspect runs on probation: alone on its
 * worker. A crash is a function of the prompt, so a suspect is cleared as soon as it gets `CLEARING_TOKENS` past the point where the worker died.
 * A second death before that, which it witnesses alone, convicts it. A worker that only fell silent speaks against no prompt.
 */

/** Time on the next worker that clears a suspect, together with those tokens: small models generate them in a moment. */
const CLEARING_MS = 600;
/** Tokens of an answer that show that copies of its prompt may run anywhere. */
const PROOF_TOKENS = 128;
/** Time within which membership decides on a lost worker; after it, the worker is dead unless it is a trusted member. @internal exported for tests. */
export const FATE_WAIT_MS = 4_000;
/** Time between a death and the verdict, in which the other coordinators report their witnesses. */
const JUDGE_AFTER_MS = 200;
/** Longest time after a death for which the verdict waits until the other coordinators are heard. @internal exported for tests. */
export const JUDGE_DEAF_MS = 5_000;
/** How long an attempt that its client cancelled still counts as running: its worker may have died of it unnoticed. */
const CANCELLED_FOR_MS = 3_000;
const LOSSES_KEPT = 256;

export class Suspects implements TrialOwner {
  /** Notified when a waiting prompt may be able to continue. */
  readonly changed: Condition;
  readonly probation: Probation;
  private readonly trials = new Trials();
  private readonly losses = new Map<string, Loss>();
  private readonly suspicions: Suspicions;
  readonly proven = new Proven();
  private readonly timers: Timers;
  private begunTrials = 0;
  /** Instances whose connection closed. */
  private readonly unlinked = new Set<string>();

  constructor(private readonly options: SuspectsOptions) {
    this.changed = new Condition(options.clock);
    this.timers = new Timers(options.clock);
    this.suspicions = new Suspicions(options.clock);
    const onFreed = () => this.changed.notifyAll();
    this.probation = new Probation(this.trials, this.suspicions, { ...options, onFreed });
  }

  stop(): void {
    this.timers.cancelAll();
  }

  isSuspect({ prompt, request }: RequestName): boolean {
    return this.suspicions.isSuspect(prompt, request);
  }

  /** Decides where the request may run. `reserved`: this attempt has reserved a worker. */
  gate(name: RequestName, reserved = false): Gate {
    const { prompt, request } = name;
    const avoid = this.probation.taken(name);
    const against = this.suspicions.against(prompt, request);
    if (against.length === 0) {
      if (this.proven.has(request)) return { kind: 'free', proven: true, avoid };
      const runs = !reserved && this.workersOf(name).size > 0;
      return runs ? { kind: 'wait', why: 'copy', avoid } : { kind: 'free', proven: false, avoid };
    }
    if (against.length >= CONVICTING_DEATHS && against.some(({ judged }) => !judged))
      return { kind: 'wait', why: 'verdict', avoid };
    const runs = this.options.claims.workersOf(prompt).size > 0 || this.probation.suspectTrials(prompt).length > 0;
    if (!reserved && (runs || !this.probation.mayReserve(name))) return { kind: 'wait', why: 'probation', avoid };
    return { kind: 'probation', avoid };
  }

  /** The workers that run copies of the request for any coordinator, or are claimed for them. */
  workersOf(name: RequestName): Set<string> {
    const unit = this.proven.unitOf(name);
    const workers = this.options.claims.workersOf(unit);
    for (const { worker, prompt, request } of this.trials.of(name.prompt))
      if (unit === prompt || unit === request) workers.add(worker);
    return workers;
  }

  /** Records that a prompt was placed on a worker. */
  begin(name: RequestName, worker: string, incarnation: string, resumedTokens: number): Trial {
    const placed = { number: ++this.begunTrials, placedMs: this.options.clock.now() };
    const trial = new Trial(this, name, worker, incarnation, resumedTokens, placed);
    this.trials.add(trial);
    return trial;
  }

  now(): number {
    return this.options.clock.now();
  }

  progressed(trial: Trial): void {
    if (trial.completed || trial.tokens >= PROOF_TOKENS) this.prove(trial.name);
    if (this.isSuspect(trial.name)) this.clearBy(trial, trial.completed ? 0 : CLEARING_TOKENS);
  }

  lost(trial: Trial): LostWorker {
    const loss = this.lossOf(trial.worker, trial.incarnation);
    if (loss.fate !== 'spared' && this.witness(loss, trial)) this.publish(loss, [trial.prompt]);
    if (loss.fate === 'dead' && loss.timer === null) this.judge(loss);
    return loss;
  }

  over(trial: Trial): void {
    if (!this.trials.end(trial)) return;
    if (trial.claim !== null) this.options.claims.release(trial.claim, trial.worker);
    const leave = () => {
      this.trials.leave(trial);
      if (!trial.wasLost && trial.fresh > 0) this.clearBy(trial, 0);
      this.changed.notifyAll();
    };
    // A cancelled attempt may already have doomed its worker.
    if (trial.completed || trial.wasLost) leave();
    else this.timers.after(CANCELLED_FOR_MS, leave);
    this.changed.notifyAll();
  }

  /** A trial ends before its prompt was sent to the worker. */
  withdrawn(trial: Trial): void {
    this.trials.end(trial);
    this.trials.leave(trial);
    this.changed.notifyAll();
  }

  /** Whether an incarnation of a worker is known to be lost. */
  isLost(worker: string, incarnation: string): boolean {
    const instance = instanceOf(worker, incarnation);
    return this.unlinked.has(instance) || this.losses.has(instance);
  }

  /** The connection to a worker closed. */
  unlink(worker: string, incarnation: string): void {
    const instance = instanceOf(worker, incarnation);
    const atMs = this.options.clock.now();
    this.unlinked.add(instance);
    this.timers.after(JUDGE_AFTER_MS, () => {
      const claimed = this.options.claims.promptsOn(worker, atMs);
      if (this.unlinked.has(instance) && claimed.length > 0)
        this.accuseClaims(this.lossOf(worker, incarnation), claimed);
    });
    if (this.unlinked.size > LOSSES_KEPT) this.unlinked.delete(this.unlinked.values().next().value!);
  }

  /** Membership has declared a worker dead. `fenced`: only because a newer incarnation appeared, which proves a death only of a lost worker. */
  dead(worker: string, incarnation: string, fenced: boolean): void {
    if (fenced && !this.isLost(worker, incarnation)) this.spared(worker, incarnation);
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
    if (known || this.trials.on(instanceOf(worker, incarnation)).size > 0)
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
  witnessedElsewhere({ worker, incarnation, atMs }: LossName, witnesses: ReadonlyMap<string, Witness>): void {
    const loss = this.lossOf(worker, incarnation, atMs);
    if (loss.fate === 'spared') return;
    for (const [prompt, witness] of witnesses) this.accuse(loss, prompt, witness);
    if (loss.fate === 'dead' && loss.timer === null) this.judge(loss);
  }

  clearedElsewhere(name: RequestName, instances: readonly string[]): void {
    const losses = this.suspicions.against(name.prompt).filter(({ instance }) => instances.includes(instance));
    this.suspicions.clear(name, losses);
    if (!this.suspicions.isSuspect(name.prompt)) this.options.claims.cleared(name.prompt);
    this.changed.notifyAll();
  }

  /** A request or a prompt is convicted. Deaths that it witnessed with others may have another cause. Returns the workers that may have died of it. */
  convict({ prompt, request }: Convicted): string[] {
    const losses = this.suspicions.against(prompt);
    for (const loss of losses) if (loss.witnesses.size === 1) loss.explained = true;
    if (request === null) this.suspicions.forget(prompt);
    this.options.claims.forget(prompt);
    this.proven.forget(request ?? prompt);
    this.changed.notifyAll();
    return losses.filter(({ fate }) => fate === 'dead').map(({ worker }) => worker);
  }

  /** Tells a new coordinator which prompts are suspects. */
  retell(): void {
    for (const loss of this.losses.values()) {
      if (loss.fate === 'dead') this.publish(loss, this.suspicions.suspectsOf(loss));
    }
  }

  private explain(loss: Loss): void {
    loss.explained = true;
    for (const prompt of loss.witnesses.keys()) this.suspicions.drop(prompt, [loss]);
  }

  private witness(loss: Loss, trial: Trial): boolean {
    const { prompt, request, tokens, fresh, placedMs } = trial;
    // A worker that was lost before cannot have run it.
    if (!trial.begun && trial.number > loss.after) return false;
    const witness = { request, tokens, fresh, placedMs };
    const waitedBefore = [...this.losses.values()].some(
      (other) => other !== loss && other.fate !== 'spared' && other.waiting.has(prompt),
    );
    if (trial.begun || waitedBefore || prompt === loss.next) return this.accuse(loss, prompt, witness);
    loss.waiting.set(prompt, witness);
    return false;
  }

  private accuse(loss: Loss, prompt: string, witness: Witness): boolean {
    if (loss.explained) return false;
    const copy = loss.witnesses.get(prompt);
    loss.witnesses.set(
      prompt,
      copy === undefined ? witness : furthest(copy, witness, (request) => this.proven.has(request)),
    );
    if (copy !== undefined || this.options.isRefused(prompt)) return false;
    this.suspicions.add(prompt, loss);
    return true;
  }

  /** A coordinator that died with the worker can report nothing, but had claimed the worker for its prompts. */
  private accuseClaims(loss: Loss, prompts: readonly string[]): void {
    for (const prompt of prompts)
      if (!loss.witnesses.has(prompt))
        this.accuse(loss, prompt, { request: null, tokens: 0, fresh: 0, placedMs: loss.atMs });
  }

  private settle(loss: Loss, fate: 'dead' | 'spared'): void {
    if (loss.fate === fate) return;
    this.timers.end(loss);
    loss.fate = fate;
    if (fate === 'spared') {
      loss.judged = true;
      for (const prompt of loss.witnesses.keys()) this.suspicions.drop(prompt, [loss]);
      this.changed.notifyAll();
      return;
    }
    // A crash closes connections. A worker that is cut off may still be alive, and did not die of a prompt.
    if (this.options.fellSilent(loss.instance)) this.explain(loss);
    // Slow clients' requests have not noticed the loss yet.
    for (const trial of this.trials.on(loss.instance)) this.witness(loss, trial);
    if (loss.witnesses.size === 0) for (const [prompt, witness] of loss.waiting) this.accuse(loss, prompt, witness);
    this.publish(loss, [...loss.witnesses.keys()]);
    this.judgeLater(loss, this.options.clock.now() + JUDGE_DEAF_MS);
    this.changed.notifyAll();
  }

  /** While coordinators may not hear each other, each lacks the others' witnesses: this one's are published again. */
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
    this.accuseClaims(loss, this.options.claims.bury(loss.worker, loss.atMs));
    const convicted = convictedOf(loss, {
      nowMs: this.options.clock.now(),
      losses: [...this.losses.values()],
      deathsOf: (prompt) => this.suspicions.deathsOf(prompt),
      isProven: (request) => this.proven.has(request),
      isConvicted: this.options.isConvicted,
    });
    if (convicted !== null) this.options.onVerdict(convicted, this.convict(convicted));
    this.changed.notifyAll();
  }

  private clearBy(trial: Trial, margin: number): void {
    if (margin > 0 && this.options.clock.now() - trial.startedMs < CLEARING_MS) return;
    const passed = this.suspicions
      .against(trial.prompt, trial.request)
      .filter(
        (loss) => loss.instance !== trial.instance && trial.tokens >= loss.witnesses.get(trial.prompt)!.tokens + margin,
      );
    if (passed.length === 0) return;
    this.suspicions.clear(trial.name, passed);
    this.options.onCleared(
      trial.name,
      passed.map(({ instance }) => instance),
    );
    this.changed.notifyAll();
  }

  private prove(name: RequestName): void {
    if (!this.proven.add(name)) return;
    for (const claimed of [name.prompt, name.request]) this.options.claims.releaseAll(claimed);
    this.changed.notifyAll();
  }

  private lossOf(worker: string, incarnation: string, atMs: number = this.options.clock.now()): Loss {
    const instance = instanceOf(worker, incarnation);
    const known = this.losses.get(instance);
    if (known) return known;
    const [next] = [...this.trials.on(instance)].filter(({ begun }) => !begun);
    const loss = new Loss(worker, instance, atMs, this.begunTrials, next?.prompt ?? null);
    this.losses.set(instance, loss);
    loss.timer = this.timers.after(FATE_WAIT_MS, () => {
      if (this.options.trusts(worker, incarnation)) this.lives(worker, incarnation);
      else this.settle(loss, 'dead');
    });
    if (this.losses.size > LOSSES_KEPT) this.forgetOldest();
    return loss;
  }

  private forgetOldest(): void {
    const [oldest] = this.losses.values();
    if (!oldest) return;
    this.timers.end(oldest);
    this.losses.delete(oldest.instance);
    for (const prompt of oldest.witnesses.keys()) this.suspicions.drop(prompt, [oldest]);
  }

  private publish(loss: Loss, prompts: readonly string[]): void {
    if (prompts.length === 0) return;
    const own = new Map(prompts.map((prompt) => [prompt, loss.witnesses.get(prompt)!]));
    this.options.onWitnessed(loss, own);
  }
}
