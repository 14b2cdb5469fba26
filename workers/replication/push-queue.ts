import type { Clock, Timer } from '../../src/clock.js';
import type { SealedBlock } from '../../src/core/block.js';
import type { Push } from '../../src/core/replication.js';

/** Pushes that wait, in one queue for each worker. */

/** Why blocks are pushed: they are new, have other homes than before, or are most likely there already. */
export type PushCause = 'new' | 'moved' | 'check';

export interface PushTask {
  readonly push: Push<SealedBlock>;
  readonly attempt: number;
  readonly cause: PushCause;
}

interface Resting {
  tasks: readonly PushTask[];
  readonly timer: Timer;
}

/** Pushes that wait: one queue for each worker, and pushes whose time has not come. */
export class PushQueue {
  private readonly lines = new Map<string, PushTask[]>();
  private readonly resting = new Set<Resting>();
  private readonly blocks: Record<PushCause, number> = { new: 0, moved: 0, check: 0 };

  /** `ready` is called when the queue of a worker is not empty any more. */
  constructor(
    private readonly clock: Clock,
    private readonly ready: (to: string) => void,
  ) {}

  /** Blocks of waiting pushes of this cause. */
  waiting(cause: PushCause): number {
    return this.blocks[cause];
  }

  add(task: PushTask): void {
    this.count([task], 1);
    this.enter(task);
  }

  /** Queues the tasks after the delay. */
  addLater(tasks: readonly PushTask[], delayMs: number): void {
    if (tasks.length === 0) return;
    this.count(tasks, 1);
    const timer = this.clock.after(delayMs, () => {
      this.resting.delete(entry);
      for (const task of entry.tasks) this.enter(task);
    });
    const entry: Resting = { tasks, timer };
    this.resting.add(entry);
  }

  /** Takes the first task out of a worker's queue. */
  next(to: string): PushTask | null {
    return this.take(to, 1)[0] ?? null;
  }

  /** Takes all tasks out of a worker's queue. */
  all(to: string): PushTask[] {
    return this.take(to, Number.POSITIVE_INFINITY);
  }

  /** Drops all tasks that are not wanted. */
  keep(wanted: (task: PushTask) => boolean): void {
    for (const [to, line] of this.lines) this.setLine(to, this.kept(line, wanted));
    for (const entry of this.resting) {
      entry.tasks = this.kept(entry.tasks, wanted);
      if (entry.tasks.length > 0) continue;
      entry.timer.cancel();
      this.resting.delete(entry);
    }
  }

  /**
   * Takes out the oldest push of new blocks: of those that were tried in vain if there are any, else of the longest queue. Null if none waits.
   */
  dropNew(): PushTask | null {
    const lines = [...this.lines.values()].sort((a, b) => b.length - a.length);
    const all = [...[...this.resting].map(({ tasks }) => tasks), ...lines];
    const oldest = all.flatMap((tasks) => tasks.find(({ cause }) => cause === 'new') ?? [])[0];
    if (oldest === undefined) return null;
    this.keep((task) => task !== oldest);
    return oldest;
  }

  clear(): void {
    this.keep(() => false);
  }

  private enter(task: PushTask): void {
    const { to } = task.push;
    const line = this.lines.get(to);
    if (line) line.push(task);
    else this.lines.set(to, [task]);
    this.ready(to);
  }

  private take(to: string, most: number): PushTask[] {
    const line = this.lines.get(to) ?? [];
    const taken = line.splice(0, most);
    this.setLine(to, line);
    this.count(taken, -1);
    return taken;
  }

  private setLine(to: string, line: PushTask[]): void {
    if (line.length > 0) this.lines.set(to, line);
    else this.lines.delete(to);
  }

  private kept(tasks: readonly PushTask[], wanted: (task: PushTask) => boolean): PushTask[] {
    const kept: PushTask[] = [];
    for (const task of tasks) {
      if (wanted(task)) kept.push(task);
      else this.count([task], -1);
    }
    return kept;
  }

  private count(tasks: readonly PushTask[], sign: 1 | -1): void {
    for (const { push, cause } of tasks) this.blocks[cause] += sign * push.blocks.length;
  }
}
