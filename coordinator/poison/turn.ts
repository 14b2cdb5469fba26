import type { Clock } from '../../src/clock.js';
import type { BlockMeta } from '../../src/core/block.js';
import type { Failures } from '../attempts.js';
import type { PoisonGuard } from './poison-guard.js';

/** The wait of an attempt until its prompt may run on a worker. */

/** Time in which the other requests on a lost worker notice the loss, so that all of them are known to be suspects. */
const SETTLE_MS = 20;
/** How long a copy of a prompt waits for the proof that the prompt is harmless. */
const COPY_WAIT_MS = 1_000;
/** Limit on the workers that run copies of a prompt without that proof: no more can die of it. */
const COPY_WORKERS = 2;
/** How long a suspect waits for a worker without other suspects, before it shares one. */
const PROBATION_WAIT_MS = 60_000;
/** Interval at which a waiting attempt looks again, even if nothing was reported. */
const POLL_MS = 500;

/** One attempt of a request, to be placed. */
export interface Attempt {
  /** The prompt's fingerprint. */
  readonly prompt: string;
  /** The prompt, then the tokens that earlier attempts generated. */
  readonly tokens: Uint32Array;
  /** Number of the tokens that earlier attempts generated. */
  readonly resumed: number;
  readonly blocks: readonly BlockMeta[];
  /** Tokens of prompt and whole answer together, whatever part of the answer is generated. */
  readonly contextTokens: number;
  /** As many tokens as a worker must have room for: fewer than `contextTokens` if the answer may be shorter. */
  readonly leastContextTokens: number;
  /** The only worker that may run the request; null for any. */
  readonly pinned: string | null;
  readonly failures: Failures;
}

/** The workers on which a prompt may run now. */
interface Allowed {
  allows(worker: string): boolean;
  /** Limit on the workers that run the prompt at a time, for all coordinators together. */
  readonly mostWorkers: number;
}

const EVERYWHERE: Allowed = { allows: () => true, mostWorkers: Number.POSITIVE_INFINITY };
const ANYWHERE: Allowed = { allows: () => true, mostWorkers: 1 };

export class Turn {
  private readonly begunMs: number;

  constructor(
    private readonly attempt: Attempt,
    private readonly options: { readonly clock: Clock; readonly poison: PoisonGuard },
  ) {
    this.begunMs = options.clock.now();
  }

  /** The workers on which the prompt may run now; null if it has to wait. */
  gate(): Allowed | null {
    const { prompt, pinned, failures } = this.attempt;
    if (this.waitedMs < SETTLE_MS && failures.lost.at(-1)?.fate === 'unknown') return null;
    const { suspects } = this.options.poison;
    const gate = suspects.gate(prompt);
    if (gate.kind === 'free') return gate.proven || pinned !== null ? EVERYWHERE : ANYWHERE;
    if (gate.kind === 'probation') {
      if (this.waitedMs >= PROBATION_WAIT_MS) return EVERYWHERE;
      return { allows: (worker) => !gate.avoid.has(worker), mostWorkers: 1 };
    }
    if (gate.why === 'verdict') return null;
    if (gate.why === 'probation') return this.waitedMs < PROBATION_WAIT_MS ? null : EVERYWHERE;
    if (pinned !== null) return EVERYWHERE;
    if (this.waitedMs < COPY_WAIT_MS) return null;
    const running = suspects.workersOf(prompt);
    const allows = (worker: string) => running.has(worker) || running.size < COPY_WORKERS;
    return { allows, mostWorkers: COPY_WORKERS };
  }

  /** Whether the attempt may wait longer for a worker that serves, but runs other suspects. */
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
