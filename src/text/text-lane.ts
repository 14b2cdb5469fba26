import { abortReason } from '../async/abort.js';
import { Deferred } from '../async/deferred.js';
import type { Clock, Timer } from '../clock.js';
import { fromWire, InvalidRequest, Overloaded, Unavailable } from '../errors.js';
import type { TextResult, TextTask } from './text-task.js';
import type { FromThread, TaskForThread, ThreadPriority } from './thread-messages.js';

/** One thread, and the tasks that wait for it. */

/** A running thread. */
export interface TextThread {
  post(message: TaskForThread): void;
  /** Asks the thread to stop this task soon. It may not: only `end` is sure. */
  cancel(id: number): void;
  /** Ends the thread, whatever it does. */
  end(): Promise<void>;
}

/** What a thread reports. @internal exported for tests. */
export interface ThreadEvents {
  onMessage(message: FromThread): void;
  /** The thread is gone, for this reason. Called once, also after `end`. */
  onEnd(reason: string): void;
}

export type StartThread = (events: ThreadEvents, priority: ThreadPriority) => TextThread;

export interface TextLaneOptions {
  readonly clock: Clock;
  readonly start: StartThread;
  readonly priority: ThreadPriority;
  /** Time that the thread may take for one task before it is ended. */
  readonly taskMs: number;
  /** Limits on the tasks that wait. */
  readonly maxWaiting: number;
  readonly maxWaitingChars: number;
  /** A thread was ended, or ended by itself, and another one takes its place. */
  readonly onReplaced: (reason: string) => void;
}

interface WaitingTask {
  readonly task: TextTask;
  readonly chars: number;
  readonly result: Deferred<TextResult>;
  readonly signal: AbortSignal;
}

type LaneState =
  | { readonly type: 'starting'; readonly thread: TextThread }
  | { readonly type: 'idle'; readonly thread: TextThread }
  | {
      readonly type: 'busy';
      readonly thread: TextThread;
      readonly id: number;
      readonly job: WaitingTask;
      readonly timer: Timer;
    }
  /** The last thread did not start; another one is started when the timer fires. */
  | { readonly type: 'pausing'; readonly timer: Timer }
  | { readonly type: 'closed' };

/** Pause after a thread that did not start. */
const RESTART_PAUSE_MS = 1_000;

/**
 * Does tasks one after another in one thread, in the order in which they came. A task that takes longer than allowed, or more memory than a
 * thread may have, is refused, and the thread replaced; the tasks behind it wait for the new thread.
 */
export class TextLane {
  private state: LaneState;
  private readonly waiting: WaitingTask[] = [];
  private waitingChars = 0;
  private lastId = 0;
  private readonly firstStart = new Deferred<{ hasTemplate: boolean }>();

  constructor(private readonly options: TextLaneOptions) {
    this.state = this.startThread();
  }

  /** Resolves once the first thread is ready. Rejects with `Refused` if the model cannot be used. */
  get started(): Promise<{ hasTemplate: boolean }> {
    return this.firstStart.promise;
  }

  /**
   * @param chars size of the task, for the limit on what waits
   * @throws as `TextWork` does
   */
  async run(task: TextTask, chars: number, signal: AbortSignal): Promise<TextResult> {
    if (signal.aborted) throw abortReason(signal);
    if (this.state.type === 'closed') throw stopping();
    const { maxWaiting, maxWaitingChars } = this.options;
    if (this.waiting.length >= maxWaiting || this.waitingChars + chars > maxWaitingChars)
      throw new Overloaded('too many texts wait to be converted to tokens; retry later');
    const job: WaitingTask = { task, chars, result: new Deferred<TextResult>(), signal };
    const leave = () => this.leave(job);
    signal.addEventListener('abort', leave, { once: true });
    this.waiting.push(job);
    this.waitingChars += chars;
    this.next();
    try {
      return await job.result.promise;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  /** Ends the thread, and refuses what waits. Idempotent. */
  async close(): Promise<void> {
    const { state } = this;
    this.state = { type: 'closed' };
    this.firstStart.reject(stopping());
    if (state.type === 'pausing') state.timer.cancel();
    if (state.type === 'busy') this.settle(state).reject(stopping());
    for (const job of this.waiting.splice(0)) job.result.reject(stopping());
    this.waitingChars = 0;
    if ('thread' in state) await state.thread.end();
  }

  private startThread(): LaneState {
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
      this.firstStart.resolve({ hasTemplate: message.hasTemplate });
      this.state = { type: 'idle', thread };
    } else if (message.type === 'refused') {
      this.firstStart.reject(fromWire(message.error));
      this.pause(thread, message.error.message);
      return;
    } else if (state.type === 'busy' && state.id === message.id) {
      const result = this.settle(state);
      this.state = { type: 'idle', thread };
      if (message.type === 'done') result.resolve(message.result);
      else result.reject(fromWire(message.error));
    }
    this.next();
  }

  private next(): void {
    if (this.state.type !== 'idle') return;
    const job = this.waiting.shift();
    if (job === undefined) return;
    this.waitingChars -= job.chars;
    const { thread } = this.state;
    const id = ++this.lastId;
    const { clock, taskMs } = this.options;
    const timer = clock.after(taskMs, () => this.takesTooLong(job));
    this.state = { type: 'busy', thread, id, job, timer };
    thread.post({ id, task: job.task });
  }

  /** The caller of a task is gone. */
  private leave(job: WaitingTask): void {
    const at = this.waiting.indexOf(job);
    if (at >= 0) {
      this.waiting.splice(at, 1);
      this.waitingChars -= job.chars;
    } else if (this.state.type === 'busy' && this.state.job === job) {
      // The thread is not ended, or clients that leave would make it load the tokenizer again and again.
      this.state.thread.cancel(this.state.id);
    }
    job.result.reject(abortReason(job.signal));
  }

  private takesTooLong({ task, result }: WaitingTask): void {
    const { param } = task.options;
    const what = `takes more than ${this.options.taskMs} ms to convert between text and tokens`;
    this.replace(`a text took more than ${this.options.taskMs} ms`);
    result.reject(new InvalidRequest(`${param}: ${what}; shorten it`, param));
  }

  private ended(thread: TextThread, reason: string): void {
    if (!this.uses(thread)) return;
    if (this.state.type === 'starting') {
      this.firstStart.reject(new Unavailable(`cannot start a thread for texts: ${reason}`));
      this.pause(thread, reason);
      return;
    }
    if (this.state.type === 'busy') {
      const { param } = this.state.job.task.options;
      const refusal = `${param}: takes more memory to convert between text and tokens than is allowed; shorten it`;
      this.settle(this.state).reject(new InvalidRequest(refusal, param));
    }
    this.replace(reason);
  }

  private replace(reason: string): void {
    const { state } = this;
    if (!('thread' in state)) return;
    if (state.type === 'busy') state.timer.cancel();
    this.state = this.startThread();
    this.options.onReplaced(reason);
    void state.thread.end();
  }

  /** Nothing can be done for now. What waits is refused: the next thread may not start either. */
  private pause(thread: TextThread, reason: string): void {
    const timer = this.options.clock.after(RESTART_PAUSE_MS, () => {
      this.state = this.startThread();
    });
    this.state = { type: 'pausing', timer };
    this.waitingChars = 0;
    for (const job of this.waiting.splice(0))
      job.result.reject(new Unavailable('no thread for texts can be started; retry later'));
    this.options.onReplaced(reason);
    void thread.end();
  }

  private settle({ timer, job }: Extract<LaneState, { type: 'busy' }>): Deferred<TextResult> {
    timer.cancel();
    return job.result;
  }
}

function stopping(): Unavailable {
  return new Unavailable('the coordinator is stopping; retry on another coordinator');
}
