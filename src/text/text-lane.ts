import { abortReason } from '../async/abort.js';
import { Deferred } from '../async/deferred.js';
import type { Timer } from '../clock.js';
import { FairLine } from '../core/fair-line.js';
import { Overloaded, type ShoalError, Unavailable } from '../errors.js';
import { LaneThread, type LaneThreadOptions, type TextJob } from './lane-thread.js';
import type { TextResult, TextTask } from './text-task.js';
import type { TextCaller } from './text-work.js';

/** A line of tasks, and the threads that do them. */

export interface TextLaneOptions
  extends Pick<LaneThreadOptions, 'clock' | 'start' | 'priority' | 'taskMs' | 'cpuMs' | 'onReplaced'> {
  /** Threads at most. All but the first are started when one tenant's tasks hold up another's. */
  readonly threads: number;
  /** Limits on the tasks that wait. */
  readonly maxWaiting: number;
  readonly maxWaitingChars: number;
}

/** Least cost of a task, in milliseconds: its overhead outside the thread. */
const LEAST_COST_MS = 0.05;
/** Time that a task runs before it holds up the tasks of other tenants. Another thread costs memory for the tokenizer. */
const HOLDS_UP_MS = 100;

/**
 * Tenants take turns by the time that their tasks took, and one task of a tenant runs at a time (`FairLine`). So a tenant waits for no more than the tasks
 * that run: with two threads, for none of a single other tenant.
 */
export class TextLane {
  private readonly line: FairLine<TextJob>;
  private readonly threads: LaneThread[] = [];
  private readonly firstStart = new Deferred<{ hasTemplate: boolean }>();
  /** Looks whether a tenant is held up. Null if none waits for another one's task. */
  private lookout: Timer | null = null;
  private closed = false;

  constructor(private readonly options: TextLaneOptions) {
    this.line = new FairLine({ items: options.maxWaiting, size: options.maxWaitingChars });
    this.addThread();
  }

  /** Resolves once the first thread is ready. Rejects with `Refused` if the model cannot be used. */
  get started(): Promise<{ hasTemplate: boolean }> {
    return this.firstStart.promise;
  }

  /**
   * @param chars size of the task, for the limit on what waits
   * @throws as `TextWork` does
   */
  async run(task: TextTask, chars: number, { tenant, signal }: TextCaller): Promise<TextResult> {
    if (signal.aborted) throw abortReason(signal);
    if (this.closed) throw stopping();
    const job: TextJob = { task, tenant, size: chars, result: new Deferred<TextResult>() };
    const displaced = this.line.add(job, this.options.clock.now());
    if (displaced === null) throw tooMany();
    for (const { result } of displaced) result.reject(tooMany());
    const leave = () => this.leave(job, abortReason(signal));
    signal.addEventListener('abort', leave, { once: true });
    this.next();
    try {
      return await job.result.promise;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  /** Ends the threads, and refuses what waits. Idempotent. */
  async close(): Promise<void> {
    this.closed = true;
    this.lookout?.cancel();
    this.firstStart.reject(stopping());
    const error = stopping();
    this.refuse(error);
    await Promise.all(this.threads.map((thread) => thread.close(error)));
  }

  private addThread(): void {
    const { clock, start, priority, taskMs, cpuMs, onReplaced } = this.options;
    const thread = new LaneThread({
      ...{ clock, start, priority, taskMs, cpuMs, onReplaced },
      take: () => this.line.next(clock.now()),
      onDone: (job, tookMs) => this.done(job, tookMs),
      onReady: (hasTemplate) => this.firstStart.resolve({ hasTemplate }),
      onNotStarted: (error) => {
        this.firstStart.reject(error);
        // The others continue without it; if it was the only one, its successor may not start either.
        if (this.threads.length === 1) this.refuse(new Unavailable('no thread for texts can be started; retry later'));
        onReplaced(error.message);
      },
    });
    this.threads.push(thread);
  }

  private done(job: TextJob, tookMs: number): void {
    this.line.end(job, Math.max(LEAST_COST_MS, tookMs), this.options.clock.now());
    // Its tenant's next task may start in another thread.
    this.next();
  }

  private next(): void {
    for (const thread of this.threads) thread.next();
    if (this.lookout !== null || !this.line.heldUp || this.threads.length >= this.options.threads) return;
    this.lookout = this.options.clock.after(HOLDS_UP_MS, () => {
      this.lookout = null;
      const heldUp = this.line.heldUp && this.threads.every(({ taskMs }) => taskMs >= HOLDS_UP_MS);
      if (heldUp) this.addThread();
      else this.next();
    });
  }

  /** The caller of a task is gone. */
  private leave(job: TextJob, reason: Error): void {
    if (!this.line.remove(job, this.options.clock.now())) for (const thread of this.threads) thread.cancel(job);
    job.result.reject(reason);
  }

  private refuse(error: ShoalError): void {
    for (const { result } of this.line.clear(this.options.clock.now())) result.reject(error);
  }
}

function tooMany(): Overloaded {
  return new Overloaded('too many texts wait to be converted to tokens; retry later');
}

function stopping(): Unavailable {
  return new Unavailable('the coordinator is stopping; retry on another coordinator');
}
