import type { Deferred } from '../async/deferred.js';
import type { Clock, Timer } from '../clock.js';
import type { Tenant } from '../core/fair-shares.js';
import { fromWire, InvalidRequest, Overloaded, type ShoalError, Unavailable } from '../errors.js';
import type { TextResult, TextTask } from './text-task.js';
import type { FromThread, TaskForThread, ThreadPriority } from './thread-messages.js';

/** One thread that works on texts, and the threads that take its place. */

/** A running thread. */
export interface TextThread {
  post(message: TaskForThread): void;
  /** Asks the thread to stop this task soon. It may not: only `end` is sure. */
  cancel(id: number): void;
  /** Ends the thread, even in the middle of a task. */
  end(): Promise<void>;
}

/** The events of a thread. @internal exported for tests. */
export interface ThreadEvents {
  onMessage(message: FromThread): void;
  /** The thread is gone, for this reason. Called once, also after `end`. */
  onEnd(reason: string): void;
}

export type StartThread = (events: ThreadEvents, priority: ThreadPriority) => TextThread;

/** A task with a waiting caller. */
export interface TextJob {
  readonly task: TextTask;
  readonly tenant: Tenant;
  /** Its size in characters. */
  readonly size: number;
  readonly result: Deferred<TextResult>;
}

export interface LaneThreadOptions {
  readonly clock: Clock;
  readonly start: StartThread;
  readonly priority: ThreadPriority;
  /** Time of a processor that the thread may take for one task before it is ended. */
  readonly taskMs: number;
  /** Processor time that this process has used in all its threads, in milliseconds. */
  readonly cpuMs: () => number;
  /** Takes the next task from the line; null if none may start. */
  readonly take: () => TextJob | null;
  /** The thread is done with a task, or ended with it. */
  readonly onDone: (job: TextJob, tookMs: number) => void;
  readonly onReady: (hasTemplate: boolean) => void;
  /** The thread did not start. It is tried again after a pause. */
  readonly onNotStarted: (error: ShoalError) => void;
  /** The thread was ended, or ended itself, and another one takes its place. */
  readonly onReplaced: (reason: string) => void;
}

type ThreadState =
  | { readonly type: 'starting'; readonly thread: TextThread }
  | { readonly type: 'idle'; readonly thread: TextThread }
  | BusyState
  /** The last thread did not start; another one is started when the timer fires. */
  | { readonly type: 'pausing'; readonly timer: Timer }
  | { readonly type: 'closed' };

interface BusyState {
  readonly type: 'busy';
  readonly thread: TextThread;
  readonly id: number;
  readonly job: TextJob;
  readonly sinceMs: number;
  /** The value of `cpuMs` when the task began. */
  readonly sinceCpuMs: number;
  timer: Timer;
}

/** Pause after a thread that did not start. */
const RESTART_PAUSE_MS = 1_000;
/** How many times its processor time a task may take on a busy machine. */
const BUSY_TIMES = 8;
/** Least time between two looks at the time that a task has taken. */
const LOOK_MS = 50;

/**
 * Does one task after another in a thread. A task that takes longer than allowed, or more memory than a thread may have, is refused, and the thread
 * replaced.
 */
export class LaneThread {
  private state: ThreadState;
  private lastId = 0;

  constructor(private readonly options: LaneThreadOptions) {
    this.state = this.startThread();
  }

  /** For how long the thread has had the task that it has; 0 if it has none. */
  get taskMs(): number {
    return this.state.type === 'busy' ? this.options.clock.now() - this.state.sinceMs : 0;
  }

  /** Takes a task if the thread has none. */
  next(): void {
    if (this.state.type !== 'idle') return;
    const { clock, taskMs, take } = this.options;
    const job = take();
    if (job === null) return;
    const { thread } = this.state;
    const id = ++this.lastId;
    const timer = clock.after(taskMs, () => this.outOfTime());
    this.state = { type: 'busy', thread, id, job, sinceMs: clock.now(), sinceCpuMs: this.options.cpuMs(), timer };
    thread.post({ id, task: job.task });
  }

  /**
   * Asks the thread to abandon a task whose caller has left. The thread is not ended, or departing clients would make it load the tokenizer again and
   * again.
   */
  cancel(job: TextJob): void {
    if (this.state.type === 'busy' && this.state.job === job) this.state.thread.cancel(this.state.id);
  }

  /** Ends the thread. Its task is refused with `error`. Idempotent. */
  async close(error: ShoalError): Promise<void> {
    const { state } = this;
    if (state.type === 'busy') this.finish(state).reject(error);
    this.state = { type: 'closed' };
    if (state.type === 'pausing') state.timer.cancel();
    if ('thread' in state) await state.thread.end();
  }

  private startThread(): ThreadState {
    const events: ThreadEvents = {
      onMessage: (message) => this.hear(thread, message),
      onEnd: (reason) => this.ended(thread, reason),
    };
    const thread = this.options.start(events, this.options.priority);
    return { type: 'starting', thread };
  }

  /** Whether this is the thread in use: a replaced one may still be heard of. */
  private uses(thread: TextThread): boolean {
    return 'thread' in this.state && this.state.thread === thread;
  }

  private hear(thread: TextThread, message: FromThread): void {
    if (!this.uses(thread)) return;
    const { state } = this;
    if (message.type === 'ready') {
      this.state = { type: 'idle', thread };
      this.options.onReady(message.hasTemplate);
    } else if (message.type === 'refused') {
      this.pause(thread, fromWire(message.error));
    } else if (state.type === 'busy' && state.id === message.id) {
      const result = this.finish(state);
      this.state = { type: 'idle', thread };
      if (message.type === 'done') result.resolve(message.result);
      else result.reject(fromWire(message.error));
    }
    this.next();
  }

  /** A thread uses at most its process's processor time. If that is less than a task may take, the machine is busy; the text is not the cause. */
  private outOfTime(): void {
    const { state } = this;
    if (state.type !== 'busy') return;
    const { clock, taskMs, cpuMs } = this.options;
    const leftMs = taskMs - (cpuMs() - state.sinceCpuMs);
    if (leftMs <= 0) {
      this.takesTooLong(state.job);
    } else if (clock.now() - state.sinceMs < BUSY_TIMES * taskMs) {
      state.timer = clock.after(Math.max(leftMs, LOOK_MS), () => this.outOfTime());
    } else {
      this.replace(`the machine was too busy for a text for ${BUSY_TIMES * taskMs} ms`);
      state.job.result.reject(new Overloaded('the machine of the coordinator is too busy for texts; retry later'));
    }
  }

  private takesTooLong({ task, result }: TextJob): void {
    const { param } = task.options;
    const what = `takes more than ${this.options.taskMs} ms to ${workOf(task)}`;
    this.replace(`a text took more than ${this.options.taskMs} ms`);
    result.reject(new InvalidRequest(`${param}: ${what}; shorten it`, param));
  }

  private ended(thread: TextThread, reason: string): void {
    if (!this.uses(thread)) return;
    if (this.state.type === 'starting') {
      this.pause(thread, new Unavailable(`cannot start a thread for texts: ${reason}`));
      return;
    }
    if (this.state.type === 'busy') {
      const { task, result } = this.state.job;
      const { param } = task.options;
      const refusal = `${param}: takes more memory to ${workOf(task)} than is allowed; shorten it`;
      result.reject(new InvalidRequest(refusal, param));
    }
    this.replace(reason);
  }

  private replace(reason: string): void {
    const { state } = this;
    if (!('thread' in state)) return;
    if (state.type === 'busy') this.finish(state);
    this.state = this.startThread();
    this.options.onReplaced(reason);
    void state.thread.end();
  }

  private pause(thread: TextThread, error: ShoalError): void {
    const timer = this.options.clock.after(RESTART_PAUSE_MS, () => {
      this.state = this.startThread();
    });
    this.state = { type: 'pausing', timer };
    this.options.onNotStarted(error);
    void thread.end();
  }

  private finish({ timer, job, sinceMs }: BusyState): Deferred<TextResult> {
    timer.cancel();
    this.options.onDone(job, this.options.clock.now() - sinceMs);
    return job.result;
  }
}

function workOf({ type }: TextTask): string {
  return type === 'constrain' ? 'compile' : 'convert between text and tokens';
}
