import type { Clock, Timer } from '../clock.js';

/** Handles items one by one, where many may come at once and each takes long. */
export class Pacing<T> {
  private readonly waiting: T[] = [];
  private passed = 0;
  private timer: Timer | null = null;

  /** @param most the items that are handled in an interval; those beyond wait for the next ones, in their order */
  constructor(
    private readonly clock: Clock,
    private readonly most: number,
    private readonly intervalMs: number,
    private readonly handle: (item: T) => void,
  ) {}

  /** Handles an item, now or later. */
  add(item: T): void {
    // Timers that are due follow each other without a turn of the event loop between them, and there must be one.
    this.timer ??= this.clock.after(this.intervalMs, () => setImmediate(() => this.next()));
    if (this.passed >= this.most) {
      this.waiting.push(item);
      return;
    }
    this.passed++;
    this.handle(item);
  }

  /** Forgets the items that wait. */
  stop(): void {
    this.timer?.cancel();
    this.waiting.length = 0;
  }

  private next(): void {
    this.timer = null;
    this.passed = 0;
    for (const item of this.waiting.splice(0, this.most)) this.add(item);
  }
}
