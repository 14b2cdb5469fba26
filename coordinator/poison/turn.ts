import type { Clock } from '../../src/clock.js';
import type { BlockMeta } from '../../src/core/block.js';
import type { Candidate } from '../../src/core/placement.js';
import type { AdapterRef } from '../../src/protocol/adapter.js';
import type { Failures } from '../attempts.js';
import type { Gate } from './gate.js';
import type { PoisonGuard } from './poison-guard.js';
import type { ReservedWorker } from './probation.js';
import type { RequestName } from './request-name.js';
import { instanceOf, type Trial } from './trial.js';

/** The wait of an attempt until its prompt may run on a worker. */

/** Time in which the other requests on a lost worker notice the loss, so that all of them are known to be suspects. */
const SETTLE_MS = 20;
/** How long a copy of a prompt waits for the proof that the prompt is harmless, before it joins the first one on its worker. */
const COPY_WAIT_MS = 1_000;
/**
 * How long it waits before it may run on a second worker without that proof. If both workers die in company, the verdict needs a third death; but
 * a worker that hangs must not hold up all copies.
 */
const SECOND_COPY_WAIT_MS = 10_000;
/** Limit on the workers that run copies of a prompt without that proof. */
const COPY_WORKERS = 2;
/** How long a suspect waits for an exclusive worker before it shares one; others wait as long for a worker that is not reserved. */
const PROBATION_WAIT_MS = 60_000;
/** Interval at which a waiting attempt looks again, even if nothing was reported. */
const POLL_MS = 500;

/** One attempt of a request, to be placed. */
export interface Attempt {
  readonly name: RequestName;
  /** The prompt, then the tokens that earlier attempts generated. */
  readonly tokens: Uint32Array;
  /** Number of the tokens that earlier attempts generated. */
  readonly resumed: number;
  readonly blocks: readonly BlockMeta[];
  /** The adapter with which the model runs; null for none. */
  readonly adapter: AdapterRef | null;
  /** Tokens of prompt and whole answer together, including tokens generated so far. */
  readonly contextTokens: number;
  /** As many tokens as a worker must have room for: fewer than `contextTokens` if the answer may be shorter. */
  readonly leastContextTokens: number;
  /** The only worker that may run the request; null for any. */
  readonly pinned: string | null;
  readonly failures: Failures;
}

/** The fields of an attempt that the rank of workers depends on. Without an adapter, the model runs by itself. */
export type RankedAttempt = Pick<Attempt, 'tokens' | 'blocks' | 'contextTokens'> & Partial<Pick<Attempt, 'adapter'>>;

/** The workers on which a prompt may run now. */
interface Allowed {
  allows(worker: string): boolean;
  /** Limit on the workers that run the prompt at a time, for all coordinators together. */
  readonly mostWorkers: number;
  /** Whether nothing else may run on its worker. */
  readonly alone: boolean;
  /** Whether the attempt rather waits than takes a worker that is not the best of all. */
  readonly patient: boolean;
}

const EVERYWHERE: Allowed = { allows: () => true, mostWorkers: Number.POSITIVE_INFINITY, alone: false, patient: false };

export class Turn {
  private readonly begunMs: number;
  private reserved: ReservedWorker | null = null;
  private queued = false;

  constructor(
    private readonly attempt: Attempt,
    private readonly options: { readonly clock: Clock; readonly poison: PoisonGuard },
  ) {
    this.begunMs = options.clock.now();
  }

  /** The workers on which the prompt may run now; null if it has to wait. */
  gate(): Allowed | null {
    const { name, pinned, failures } = this.attempt;
    if (this.options.poison.learning) return null;
    if (this.waitedMs < SETTLE_MS && failures.lost.at(-1)?.fate === 'unknown') return null;
    const { suspects } = this.options.poison;
    const gate = suspects.gate(name, this.reserved !== null);
    const isFree = (worker: string) => !gate.avoid.has(worker);
    this.queue(gate);
    if (gate.kind === 'wait' && gate.why === 'verdict') return null;
    if (this.waitedMs >= PROBATION_WAIT_MS) return EVERYWHERE;
    if (gate.kind === 'probation') return { allows: isFree, mostWorkers: 1, alone: true, patient: false };
    const unlimited = { ...EVERYWHERE, allows: isFree };
    if (gate.kind === 'free') return gate.proven || pinned !== null ? unlimited : { ...unlimited, mostWorkers: 1 };
    if (gate.why === 'probation') return null;
    if (pinned !== null) return unlimited;
    if (this.waitedMs < COPY_WAIT_MS) return null;
    const running = suspects.workersOf(name);
    const mostWorkers = this.waitedMs < SECOND_COPY_WAIT_MS ? 1 : COPY_WORKERS;
    const allows = (worker: string) => isFree(worker) && (running.has(worker) || running.size < mostWorkers);
    return { ...unlimited, allows, mostWorkers, patient: mostWorkers === 1 };
  }

  /** The best worker that the gate allows: the reserved one, else one that runs nothing if the prompt has to run alone. */
  choose(
    candidates: readonly Candidate[],
    gate: Allowed,
    isConnected: (candidate: Candidate) => boolean,
  ): Candidate | undefined {
    const { suspects } = this.options.poison;
    const { reserved } = this;
    const kept = candidates.find(({ worker, incarnation }) => reserved?.instance === instanceOf(worker, incarnation));
    if (kept) return kept;
    this.release();
    const allowed = candidates.filter(({ worker }) => gate.allows(worker));
    if (gate.patient && allowed[0] !== candidates[0]) return undefined;
    if (!gate.alone) return allowed[0];
    // A lost worker may live on, and be connected again.
    const alive = allowed.filter((one) => isConnected(one) || !suspects.isLost(one.worker, one.incarnation));
    const idle = ({ worker, incarnation }: Candidate) => suspects.probation.isIdle(worker, incarnation);
    return alive.find(idle) ?? alive[0];
  }

  /** Whether the prompt may be sent to its reserved worker. */
  isAlone({ worker, incarnation }: Candidate): boolean {
    const { reserved } = this;
    if (reserved?.instance !== instanceOf(worker, incarnation)) return false;
    return this.options.poison.suspects.probation.isAlone(reserved);
  }

  /** Reserves a worker. Resolves with false if that changes nothing. */
  async reserve({ worker, incarnation }: Candidate): Promise<boolean> {
    if (this.reserved) return false;
    this.reserved = await this.options.poison.suspects.probation.reserve(this.attempt.name, worker, incarnation);
    return this.reserved !== null;
  }

  /** The prompt is placed on its reserved worker. */
  pass(trial: Trial): void {
    if (this.reserved) this.options.poison.suspects.probation.pass(this.reserved, trial);
    this.reserved = null;
  }

  /** The wait is over, with any result. */
  end(): void {
    this.release();
    if (this.queued) this.options.poison.suspects.probation.dequeue(this.attempt.name.prompt);
    this.queued = false;
  }

  private release(): void {
    if (this.reserved) this.options.poison.suspects.probation.release(this.reserved);
    this.reserved = null;
  }

  /** Attempts that can go to one worker only do not hold up others. */
  private queue({ kind }: Gate): void {
    if (kind !== 'probation' && this.reserved && !this.options.poison.suspects.isSuspect(this.attempt.name))
      this.release();
    if (this.queued || this.attempt.pinned !== null || kind === 'free') return;
    if (!this.options.poison.suspects.isSuspect(this.attempt.name)) return;
    this.options.poison.suspects.probation.enqueue(this.attempt.name.prompt);
    this.queued = true;
  }

  /** Whether the attempt may wait longer for a worker that serves, but is reserved. */
  get mayWait(): boolean {
    return this.waitedMs < PROBATION_WAIT_MS;
  }

  /** Resolves when the answer of `gate` may have changed. */
  async wait(signal: AbortSignal): Promise<void> {
    const { waitedMs } = this;
    await this.options.poison.suspects.changed.wait(waitedMs < SETTLE_MS ? SETTLE_MS - waitedMs : POLL_MS, signal);
  }

  private get waitedMs(): number {
    return this.options.clock.now() - this.begunMs;
  }
}
