import { afterCrash, type RestartPolicy } from '../../src/actors/restart-policy.js';
import type { Clock, Timer } from '../../src/clock.js';
import * as limits from '../../src/limits.js';
import type { Child, ChildExit } from './child.js';

/** What a supervisor needs of a process. */
export type SupervisedProcess = Pick<Child, 'pid' | 'ready' | 'exited' | 'stop' | 'kill'>;

export type SupervisedEvent =
  | { readonly type: 'ready'; readonly pid: number; readonly info: unknown }
  /** It ended by itself, and will be started again. */
  | { readonly type: 'restarting'; readonly exit: ChildExit; readonly inMs: number }
  /** It ended too often, and stays down. */
  | { readonly type: 'given-up'; readonly exit: ChildExit };

export interface SupervisedOptions {
  readonly spawn: () => SupervisedProcess;
  readonly policy: RestartPolicy;
  readonly clock: Clock;
  readonly onEvent: (event: SupervisedEvent) => void;
}

/**
 * `idle` -> `running` <-> `waiting` (for a restart), `running` -> `down` (given up), and from each of them -> `stopped`.
 */
type State =
  | { readonly kind: 'idle' | 'down' }
  /** The child is the one that still has to end. */
  | { readonly kind: 'stopped'; readonly child: SupervisedProcess | null }
  | { readonly kind: 'running'; readonly child: SupervisedProcess }
  | { readonly kind: 'waiting'; readonly timer: Timer };

/** One process that is kept running: if it ends by itself it is started again, with back-off and a limit. */
export class Supervised {
  private state: State = { kind: 'idle' };
  private crashesMs: readonly number[] = [];

  constructor(private readonly options: SupervisedOptions) {}

  /** Of the process that runs now; null between two. */
  get pid(): number | null {
    return this.state.kind === 'running' ? this.state.child.pid : null;
  }

  /**
   * Starts it for the first time. Resolves when it is ready, with what it says of itself; rejects with `ChildFailed` if it ends before
   * that: what cannot start once is not tried again.
   */
  async start(): Promise<unknown> {
    const child = this.launch();
    const info = await child.ready;
    this.watch(child);
    this.options.onEvent({ type: 'ready', pid: child.pid, info });
    return info;
  }

  /** Ends it for good; resolves when it is gone. Bounded by the grace after which it is killed. */
  async stop(): Promise<void> {
    if (this.state.kind === 'stopped') await this.state.child?.exited;
    else await this.leave()?.stop(this.options.clock);
  }

  /** Ends it at once and for good, even if it is being stopped. */
  kill(): void {
    this.leave()?.kill();
  }

  /** No more restarts from here on. Gives the process that is still to be ended. */
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
    const decision = afterCrash(policy, this.crashesMs, clock.now());
    this.crashesMs = decision.crashesMs;
    if (decision.kind === 'giveUp') {
      this.state = { kind: 'down' };
      onEvent({ type: 'given-up', exit });
      return;
    }
    const inMs = decision.afterMs;
    this.state = { kind: 'waiting', timer: clock.after(inMs, () => this.restart()) };
    onEvent({ type: 'restarting', exit, inMs });
  }

  private restart(): void {
    const child = this.launch();
    child.ready.then(
      (info) => this.options.onEvent({ type: 'ready', pid: child.pid, info }),
      () => {}, // its end is told by `exited`
    );
    this.watch(child);
  }
}
