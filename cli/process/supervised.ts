import { afterCrash, type RestartPolicy } from '../../src/actors/restart-policy.js';
import { within } from '../../src/async/within.js';
import type { Clock, Timer } from '../../src/clock.js';
import * as limits from '../../src/limits.js';
import type { Child, ChildExit } from './child.js';

/** Time after which a stop no longer waits for the process to end. The process was killed long before. */
const STUCK_AFTER_MS = limits.PROCESS_STOP_MS + 5_000;

/** A process that is restarted when it ends unasked, as its supervisor sees it. */
export type SupervisedProcess = Pick<Child, 'pid' | 'ready' | 'exited' | 'stop' | 'kill'>;

export type SupervisedEvent =
  | { readonly type: 'ready'; readonly pid: number; readonly info: unknown }
  /** The process ended unasked, and will be restarted. */
  | { readonly type: 'restarting'; readonly exit: ChildExit; readonly inMs: number }
  /** The process ended too often, and will not be restarted. */
  | { readonly type: 'given-up'; readonly exit: ChildExit };

export interface SupervisedOptions {
  readonly spawn: () => SupervisedProcess;
  readonly policy: RestartPolicy;
  readonly clock: Clock;
  readonly onEvent: (event: SupervisedEvent) => void;
}

/** `idle` -> `running` <-> `waiting` (for a restart), `running` -> `down` (given up), and from every state -> `stopped`. */
type State =
  | { readonly kind: 'idle' | 'down' }
  /** `child` is the process that may still have to end. */
  | { readonly kind: 'stopped'; readonly child: SupervisedProcess | null }
  | { readonly kind: 'running'; readonly child: SupervisedProcess }
  | { readonly kind: 'waiting'; readonly timer: Timer };

/**
 * Restarts a process that ends unasked, with back-off and a limit. One that a signal ended is restarted however often that happens, because it may be
 * innocent of its death.
 */
export class Supervised {
  private state: State = { kind: 'idle' };
  private crashesMs: readonly number[] = [];
  /** Ends by a signal, which lengthen the pauses but do not count towards giving up. */
  private killsMs: readonly number[] = [];

  constructor(private readonly options: SupervisedOptions) {}

  /** Pid of the running process; null between two runs. */
  get pid(): number | null {
    return this.state.kind === 'running' ? this.state.child.pid : null;
  }

  /**
   * Starts the process for the first time. Resolves with its `info` when it is ready. Rejects with `ChildFailed` if it ends first; a
   * process that fails its first start is not restarted.
   */
  async start(): Promise<unknown> {
    const child = this.launch();
    const info = await child.ready;
    this.watch(child);
    this.options.onEvent({ type: 'ready', pid: child.pid, info });
    return info;
  }

  /**
   * Stops the process for good, and kills it after a grace period. Resolves with whether it has ended: the kernel may hold a process that was killed, for
   * example because its disk does not answer.
   */
  async stop(): Promise<boolean> {
    const { clock } = this.options;
    const stopped = this.state.kind === 'stopped';
    const child = this.leave();
    if (child === null) return true;
    const ended = stopped ? child.exited : child.stop(clock);
    return within(
      clock,
      STUCK_AFTER_MS,
      ended.then(() => undefined),
    );
  }

  /** Kills the process for good, even if it is already being stopped. */
  kill(): void {
    this.leave()?.kill();
  }

  /** Disables restarts. Returns the process that must still be ended. */
  private leave(): SupervisedProcess | null {
    if (this.state.kind === 'waiting') this.state.timer.cancel();
    const child = 'child' in this.state ? this.state.child : null;
    this.state = { kind: 'stopped', child };
    return child;
  }

  private launch(): SupervisedProcess {
    const child = this.options.spawn();
    this.state = { kind: 'running', child };
    const tooLate = this.options.clock.after(limits.PROCESS_READY_MS, () => child.kill());
    const cancel = () => tooLate.cancel();
    child.ready.then(cancel, cancel);
    return child;
  }

  private watch(child: SupervisedProcess): void {
    child.exited.then((exit) => this.ended(child, exit));
  }

  private ended(child: SupervisedProcess, exit: ChildExit): void {
    if (this.state.kind !== 'running' || this.state.child !== child) return;
    const { policy, clock, onEvent } = this.options;
    const killed = exit.signal !== null;
    const decision = afterCrash(policy, killed ? this.killsMs : this.crashesMs, clock.now());
    if (killed) this.killsMs = decision.crashesMs.slice(-policy.restarts);
    else this.crashesMs = decision.crashesMs;
    if (decision.kind === 'giveUp' && !killed) {
      this.state = { kind: 'down' };
      onEvent({ type: 'given-up', exit });
      return;
    }
    const inMs = decision.kind === 'restart' ? decision.afterMs : policy.ceilingMs;
    this.state = { kind: 'waiting', timer: clock.after(inMs, () => this.restart()) };
    onEvent({ type: 'restarting', exit, inMs });
  }

  private restart(): void {
    const child = this.launch();
    child.ready.then(
      (info) => this.options.onEvent({ type: 'ready', pid: child.pid, info }),
      () => {}, // `exited` reports its end
    );
    this.watch(child);
  }
}
