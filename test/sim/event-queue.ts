/** The events of a simulation that are still to come, in the order of their moments. A simulation spends much of its time here. */

/** An event that is due at a moment. */
export interface Due {
  readonly atMs: number;
  /** Tells events at one moment apart: they happen in this order. */
  readonly order: number;
  /** Null once it was cancelled or has happened. */
  run: (() => void) | null;
}

/** A binary heap. A cancelled event stays in it until its moment. */
export class EventQueue {
  private readonly heap: Due[] = [];

  add(due: Due): void {
    const { heap } = this;
    let at = heap.length;
    heap.push(due);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above]!;
      if (!comesBefore(due, parent)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = due;
  }

  /** The next event that was not cancelled. */
  first(): Due | undefined {
    let first = this.heap[0];
    while (first?.run === null) {
      this.removeFirst();
      first = this.heap[0];
    }
    return first;
  }

  removeFirst(): void {
    const { heap } = this;
    const last = heap.pop()!;
    const size = heap.length;
    if (size === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= size) break;
      if (below + 1 < size && comesBefore(heap[below + 1]!, heap[below]!)) below++;
      const child = heap[below]!;
      if (!comesBefore(child, last)) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = last;
  }
}

function comesBefore(a: Due, b: Due): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
